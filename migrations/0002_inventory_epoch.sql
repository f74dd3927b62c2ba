-- Fence: which epoch of an item may admit orders, and who admits them.
--
-- Every order transaction share-locks the row of its items and compares the epoch of its token; a rebuild locks it exclusively.
-- More than one shard an item only spreads contention: all shards of an item carry the same epoch and mode.

CREATE TABLE inventory_epoch (
  store_id BIGINT NOT NULL,
  product_id BIGINT NOT NULL,
  sku_id BIGINT NOT NULL,
  shard SMALLINT NOT NULL,
  -- 0 until the first rebuild.
  epoch BIGINT NOT NULL DEFAULT 0,
  mode ENUM('REDIS','STRICT','DB','CLOSED') NOT NULL DEFAULT 'REDIS',
  -- Units that the epoch opened with, for the operator only; the installed counter is the copy that counts.
  base BIGINT NOT NULL DEFAULT 0,
  -- The Redis process that got the counter.
  incarnation VARCHAR(96) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
  reason VARCHAR(64) NOT NULL DEFAULT '',
  updated_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (store_id, product_id, sku_id, shard)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
