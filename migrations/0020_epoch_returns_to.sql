-- Mode that an item goes back to by itself once Redis has been well for a while. Set when MySQL took over because Redis was away; NULL
-- where an operator chose the mode, which then stays.

ALTER TABLE inventory_epoch
  ADD COLUMN returns_to ENUM('REDIS','STRICT') NULL,
  ADD KEY epoch_returns (returns_to);
