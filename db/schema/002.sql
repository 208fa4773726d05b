-- Version 2.

-- What a race has measured so far: written about every second while it runs, so that the same command goes on after a kill, and gone when
-- its kernel has its choices. One row an arm; sample i of every arm was taken in round i. conditions: hash of environment, protocol and
-- seed: samples of others are never mixed in. stored: the race is over and its measurements are rows of their own.
CREATE TABLE progress (
    device TEXT NOT NULL REFERENCES device (id),
    kernel TEXT NOT NULL REFERENCES kernel (hash),
    workload INTEGER NOT NULL REFERENCES workload (id),
    stage TEXT NOT NULL CHECK (stage IN ('core', 'size')),
    arm TEXT NOT NULL,
    source_hash TEXT NOT NULL,
    conditions TEXT NOT NULL,
    stored INTEGER NOT NULL CHECK (stored IN (0, 1)),
    samples BLOB NOT NULL CHECK (length(samples) % 8 = 0),
    PRIMARY KEY (device, kernel, workload, stage, arm)
) STRICT, WITHOUT ROWID;

-- What a GPU's compiler tells of a kernel; NULL: not told.
ALTER TABLE build ADD COLUMN registers INTEGER;
ALTER TABLE build ADD COLUMN spill_bytes INTEGER;

-- How far the best variant outside of the tie set was behind the winner: 0.05 is 5 % slower; NULL: there was none.
ALTER TABLE choice ADD COLUMN margin REAL;
