-- Work that a committed transaction left for the workers.
--
-- DEDUCT_STOCK_DB moves the balance of a sale; DEAD after ten refusals, and an operator may requeue it.
-- APPLY_DELTA adds an increase to Redis; it never goes DEAD, for a later epoch contains it.
-- Rows commit out of the order of their ids: never poll by "id > last".

CREATE TABLE outbox (
  id BIGINT NOT NULL AUTO_INCREMENT,
  event_id VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  event_type ENUM('DEDUCT_STOCK_DB','APPLY_DELTA') NOT NULL,
  order_id VARCHAR(80) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  store_id BIGINT NOT NULL,
  product_id BIGINT NOT NULL,
  sku_id BIGINT NOT NULL,
  quantity BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  token VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
  status ENUM('NEW','DONE','DEAD') NOT NULL DEFAULT 'NEW',
  attempts INT NOT NULL DEFAULT 0,
  -- Not before this: backoff of a deduct, lease of an increase.
  available_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  last_error VARCHAR(255) NOT NULL DEFAULT '',
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  PRIMARY KEY (id),
  UNIQUE KEY outbox_event (event_type, event_id, sku_id, store_id, product_id),
  KEY outbox_due (status, event_type, available_at, id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
