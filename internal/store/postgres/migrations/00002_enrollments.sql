-- +goose Up
CREATE TABLE enrollments (
    device       text COLLATE "C" PRIMARY KEY REFERENCES devices (id),
    claim        text NOT NULL CHECK (claim IN ('', 'none', 'secret', 'key', 'approval')),
    secret       bytea,
    pin          bytea CHECK (length(pin) = 32),
    asked        jsonb NOT NULL,
    chain        bytea,
    sealed_key   bytea,
    taken        bytea CHECK (length(taken) = 32),
    fingerprint  bytea CHECK (length(fingerprint) = 32),
    delivered    timestamptz NOT NULL,
    acknowledged timestamptz NOT NULL
);
CREATE INDEX enrollments_waiting ON enrollments (device) WHERE asked <> '[]';
CREATE INDEX enrollments_unused ON enrollments (fingerprint) WHERE acknowledged = 'epoch' AND fingerprint IS NOT NULL;

-- No key serves two devices, nor once more after its certificates were ended.
CREATE TABLE enrolled_keys (
    key    bytea PRIMARY KEY CHECK (length(key) = 32),
    device text COLLATE "C" NOT NULL REFERENCES devices (id),
    ended  boolean NOT NULL DEFAULT false
);
CREATE INDEX enrolled_keys_by_device ON enrolled_keys (device);
