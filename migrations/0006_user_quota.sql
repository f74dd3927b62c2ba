-- Units that live orders of a user hold of an item: the truth behind a limit per user.

CREATE TABLE user_quota (
  store_id BIGINT NOT NULL,
  product_id BIGINT NOT NULL,
  sku_id BIGINT NOT NULL,
  user_id BIGINT NOT NULL,
  quantity BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (store_id, product_id, sku_id, user_id),
  CONSTRAINT quota_ck CHECK (quantity >= 0)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
