-- The ledger. Token, quantity and keys of a SALE row never change after insert: whoever reads a committed row knows for good
-- whether it carries a token.
--
-- order_id of rows that no order made contains a '.', so it never equals the id of an order: 'rst.9' restock, 'adj.17' adjustment.

CREATE TABLE inventory_transactions (
  id BIGINT NOT NULL AUTO_INCREMENT,
  order_id VARCHAR(80) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  store_id BIGINT NOT NULL,
  product_id BIGINT NOT NULL,
  sku_id BIGINT NOT NULL,
  kind ENUM('SALE','RETURN','RESTOCK','ADJUST') NOT NULL,
  -- A sale is LOCK until its deduct, then OUT; UNLOCK if it was given back before.
  transaction_type ENUM('LOCK','OUT','UNLOCK','IN') NOT NULL,
  quantity BIGINT NOT NULL,
  -- Epoch that the row was committed in.
  epoch BIGINT NOT NULL,
  -- Token of the reservation that admitted the sale; empty in mode DB.
  token VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
  ref_order_id VARCHAR(80) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  updated_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (id),
  UNIQUE KEY ledger_item (order_id, sku_id, store_id, product_id, kind),
  -- Covers the sum of open sales of an item.
  KEY ledger_open (store_id, product_id, sku_id, transaction_type, quantity),
  CONSTRAINT ledger_qty_ck CHECK (quantity > 0),
  CONSTRAINT ledger_kind_ck CHECK ((kind = 'SALE' AND transaction_type IN ('LOCK','OUT','UNLOCK'))
    OR (kind IN ('RETURN','RESTOCK') AND transaction_type = 'IN')
    OR (kind = 'ADJUST' AND transaction_type = 'OUT'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
