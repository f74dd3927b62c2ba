-- Scratch rows of the self-test that every process runs when it starts: does this server really lock? Empty otherwise.

CREATE TABLE boot_check (
  id VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
