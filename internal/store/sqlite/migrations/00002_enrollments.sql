-- +goose Up
CREATE TABLE enrollments (
    device       TEXT PRIMARY KEY REFERENCES devices (id),
    claim        TEXT NOT NULL CHECK (claim IN ('', 'none', 'secret', 'key', 'approval')),
    secret       BLOB,
    pin          BLOB CHECK (length(pin) = 32),
    asked        TEXT NOT NULL,              -- a JSON array
    chain        BLOB,
    sealed_key   BLOB,
    taken        BLOB CHECK (length(taken) = 32),
    fingerprint  BLOB CHECK (length(fingerprint) = 32),
    delivered    INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX enrollments_waiting ON enrollments (device) WHERE asked <> '[]';
CREATE INDEX enrollments_unused ON enrollments (fingerprint) WHERE acknowledged = 0 AND fingerprint IS NOT NULL;

-- No key serves two devices, nor once more after its certificates were ended.
CREATE TABLE enrolled_keys (
    key    BLOB PRIMARY KEY CHECK (length(key) = 32),
    device TEXT NOT NULL REFERENCES devices (id),
    ended  INTEGER NOT NULL DEFAULT 0 CHECK (ended IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE INDEX enrolled_keys_by_device ON enrolled_keys (device);
