-- Changes of stock that no order made, each by an id that its client chose: booked once, over all items and kinds, and never another
-- one under the same id.
--
-- RESTOCK and CUT have a ledger row as well ('rst.<id>', 'adj.<id>'). HOLD changes locked_stock only; a negative one releases.

CREATE TABLE stock_changes (
  change_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  store_id BIGINT NOT NULL,
  product_id BIGINT NOT NULL,
  sku_id BIGINT NOT NULL,
  kind ENUM('RESTOCK','CUT','HOLD') NOT NULL,
  quantity BIGINT NOT NULL,
  reason VARCHAR(200) NOT NULL,
  -- Epoch that it was committed in: of a cut or hold, the one that it opened.
  epoch BIGINT NOT NULL,
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (change_id),
  KEY changes_of_item (store_id, product_id, sku_id, created_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
