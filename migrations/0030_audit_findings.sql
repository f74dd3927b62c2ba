-- What audits found before they corrected it. A correction opens a new epoch and so removes what it corrects; the row stays.
-- Written in the transaction that opens the epoch. drift is Redis less ledger, in units; findings is a list of words.
CREATE TABLE audit_findings (
  id BIGINT NOT NULL AUTO_INCREMENT,
  store_id BIGINT NOT NULL,
  product_id BIGINT NOT NULL,
  sku_id BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  findings VARCHAR(64) NOT NULL,
  drift BIGINT NOT NULL,
  details VARCHAR(255) NOT NULL,
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (id),
  KEY audit_findings_item (store_id, product_id, sku_id, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
