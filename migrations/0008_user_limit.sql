-- Limit of units that the live orders of one user may hold of an item; 0 is none.
--
-- It stands in the fence, so that an order reads it under the share lock that it takes anyway, and a new limit waits for the orders
-- under way. Rows of user_quota exist only for items with a limit; a first limit counts the orders that stand.

ALTER TABLE inventory_epoch ADD COLUMN user_limit BIGINT NOT NULL DEFAULT 0;
