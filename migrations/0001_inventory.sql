-- Balances: what is owned and what is held back, one row an item.
--
-- Signed columns on purpose: a guard such as "current_stock - locked_stock >= 3" must be false when it is short, not error 1690.
-- The constraint is the last line of defence; guards in the statements answer first.

CREATE TABLE inventory (
  store_id BIGINT NOT NULL,
  product_id BIGINT NOT NULL,
  sku_id BIGINT NOT NULL,
  -- Units owned: the sum of IN minus OUT in the ledger, deducts still to come not counted.
  current_stock BIGINT NOT NULL DEFAULT 0,
  -- Units held back on purpose (quality hold, freeze). The order flow reads it and never changes it.
  locked_stock BIGINT NOT NULL DEFAULT 0,
  version BIGINT NOT NULL DEFAULT 0,
  updated_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (store_id, product_id, sku_id),
  CONSTRAINT inventory_stock_ck CHECK (locked_stock >= 0 AND current_stock >= locked_stock)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
