-- Version 4.

-- What programs in the tuning mode `record` asked for and the database had no winner of that very size for; `actune tune --recorded` measures it and
-- takes the row out. gradients: names of operands, a comma between them.
CREATE TABLE request (
    device TEXT NOT NULL,
    spec TEXT NOT NULL,
    direction TEXT NOT NULL CHECK (direction IN ('forward', 'backward')),
    dtype_in TEXT NOT NULL,
    dtype_out TEXT NOT NULL,
    gradients TEXT NOT NULL,
    outer INTEGER NOT NULL CHECK (outer >= 0),
    channels INTEGER NOT NULL CHECK (channels >= 0),
    inner INTEGER NOT NULL CHECK (inner >= 0),
    in_place INTEGER NOT NULL CHECK (in_place IN (0, 1)),
    asked INTEGER NOT NULL CHECK (asked > 0),
    last INTEGER NOT NULL,
    PRIMARY KEY (device, spec, direction, dtype_in, dtype_out, gradients, outer, channels, inner, in_place)
) STRICT, WITHOUT ROWID;
