-- Version 1. A version's file never changes once it was released; a later one migrates.

-- A machine's fingerprint (runtime/device.h).
CREATE TABLE device (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    model TEXT NOT NULL,
    capability TEXT NOT NULL,
    processors INTEGER NOT NULL,
    l1d_bytes INTEGER NOT NULL,
    l2_bytes INTEGER NOT NULL,
    l3_bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Compiler, operating system, actune's version: one JSON text.
CREATE TABLE environment (
    id INTEGER PRIMARY KEY,
    description TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE kernel (
    hash TEXT NOT NULL PRIMARY KEY,
    spec TEXT NOT NULL,
    direction TEXT NOT NULL,
    dtype_in TEXT NOT NULL,
    dtype_out TEXT NOT NULL,
    accuracy TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX kernel_spec ON kernel (spec);

-- description: template and knobs by name. source_hash: of the generated source, launch knobs left out.
CREATE TABLE variant (
    id INTEGER PRIMARY KEY,
    kernel TEXT NOT NULL REFERENCES kernel (hash),
    source_hash TEXT NOT NULL,
    description TEXT NOT NULL,
    UNIQUE (kernel, source_hash, description)
) STRICT;
CREATE INDEX variant_source ON variant (source_hash);

CREATE TABLE build (
    id INTEGER PRIMARY KEY,
    variant INTEGER NOT NULL REFERENCES variant (id),
    toolchain TEXT NOT NULL,
    arch TEXT NOT NULL,
    ok INTEGER NOT NULL CHECK (ok IN (0, 1)),
    compile_ms REAL,
    code_bytes INTEGER,
    log TEXT NOT NULL,
    UNIQUE (variant, toolchain, arch)
) STRICT;

-- Where a measurement holds; buckets are log2 (runtime/base/bucket.h).
CREATE TABLE workload (
    id INTEGER PRIMARY KEY,
    layout TEXT NOT NULL CHECK (layout IN ('flat', 'channel_inner', 'channel_outer')),
    size_bucket INTEGER NOT NULL CHECK (size_bucket BETWEEN 0 AND 63),
    channel_bucket INTEGER NOT NULL CHECK (channel_bucket BETWEEN 0 AND 63),
    inner_bucket INTEGER NOT NULL CHECK (inner_bucket BETWEEN 0 AND 63),
    in_place INTEGER NOT NULL CHECK (in_place IN (0, 1)),
    regime TEXT NOT NULL CHECK (regime IN ('warm', 'cold')),
    UNIQUE (layout, size_bucket, channel_bucket, inner_bucket, in_place, regime)
) STRICT;

-- One run of the tuner. started: seconds since 1970.
CREATE TABLE session (
    id INTEGER PRIMARY KEY,
    device TEXT NOT NULL REFERENCES device (id),
    environment INTEGER NOT NULL REFERENCES environment (id),
    protocol TEXT NOT NULL,
    seed INTEGER NOT NULL,
    started INTEGER NOT NULL
) STRICT;
CREATE INDEX session_device ON session (device);

-- Times of one execution; samples: little-endian doubles, nanoseconds.
CREATE TABLE measurement (
    id INTEGER PRIMARY KEY,
    variant INTEGER NOT NULL REFERENCES variant (id),
    session INTEGER NOT NULL REFERENCES session (id),
    workload INTEGER NOT NULL REFERENCES workload (id),
    median_ns REAL NOT NULL,
    low_ns REAL,
    high_ns REAL,
    ratio_to_copy REAL,
    samples BLOB NOT NULL CHECK (length(samples) % 8 = 0)
) STRICT;
CREATE INDEX measurement_variant ON measurement (variant, workload);

CREATE TABLE verification (
    id INTEGER PRIMARY KEY,
    variant INTEGER NOT NULL REFERENCES variant (id),
    passed INTEGER NOT NULL CHECK (passed IN (0, 1)),
    max_error_ulp REAL,
    max_error_absolute REAL,
    method TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX verification_variant ON verification (variant);

-- The winner of a workload. tie_set: variants as good, one a line.
CREATE TABLE choice (
    device TEXT NOT NULL REFERENCES device (id),
    kernel TEXT NOT NULL REFERENCES kernel (hash),
    workload INTEGER NOT NULL REFERENCES workload (id),
    variant INTEGER NOT NULL REFERENCES variant (id),
    session INTEGER NOT NULL REFERENCES session (id),
    median_ns REAL NOT NULL,
    ratio_to_copy REAL,
    gain_over_default REAL,
    pct_roof REAL,
    tie_set TEXT NOT NULL,
    origin TEXT NOT NULL,
    decided INTEGER NOT NULL,
    PRIMARY KEY (device, kernel, workload)
) STRICT, WITHOUT ROWID;
CREATE INDEX choice_variant ON choice (variant);
