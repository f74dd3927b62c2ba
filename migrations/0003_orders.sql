-- Orders, and tombstones (FENCED) which prove that no order with this id can come into being.
--
-- Ids are binary ASCII: they differ by case, and no collation may equate two of them.
-- Rows are never deleted while a lock of that id may exist in Redis; archive after 30 days at the earliest.

CREATE TABLE orders (
  order_id VARCHAR(80) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  user_id BIGINT NOT NULL DEFAULT 0,
  status ENUM('CREATED','PAID','REFUNDED','CANCELLED','EXPIRED','FENCED') NOT NULL,
  -- SHA-256 of the canonical body: the same id with another body is a mismatch. Zeros in a tombstone.
  request_hash BINARY(32) NOT NULL,
  expire_at DATETIME(3) NULL,
  reason VARCHAR(32) NOT NULL DEFAULT '',
  created_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  updated_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (order_id),
  KEY orders_expiry (status, expire_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
