-- Texts are compared by their bytes ("C"), as every store does. The time epoch is
-- never.

-- +goose Up
CREATE TABLE devices (
    id           text COLLATE "C" PRIMARY KEY CHECK (id <> ''),
    state        text COLLATE "C" NOT NULL CHECK (state IN ('provisioned', 'ready', 'active', 'suspended', 'revoked', 'retired')),
    labels       jsonb NOT NULL,             -- the table labels finds by them
    notes        text NOT NULL,
    created      timestamptz NOT NULL,
    first_seen   timestamptz NOT NULL DEFAULT 'epoch',
    last_seen    timestamptz NOT NULL DEFAULT 'epoch',
    last_address text NOT NULL DEFAULT '',
    revision     bigint NOT NULL,            -- entries of the trail
    head         bytea NOT NULL              -- the hash of the last of them
);
CREATE INDEX devices_by_state ON devices (state, id);
CREATE INDEX devices_by_seen ON devices (state, last_seen, id);

CREATE TABLE labels (
    key    text COLLATE "C" NOT NULL,
    value  text COLLATE "C" NOT NULL,
    state  text COLLATE "C" NOT NULL,        -- of the device, so that both are one search
    device text COLLATE "C" NOT NULL,
    PRIMARY KEY (key, value, state, device)
);

CREATE TABLE credentials (
    fingerprint bytea PRIMARY KEY CHECK (length(fingerprint) = 32),
    device      text COLLATE "C" NOT NULL REFERENCES devices (id),
    serial      text NOT NULL,
    issuer      text NOT NULL,
    not_before  timestamptz NOT NULL,
    not_after   timestamptz NOT NULL,
    state       text NOT NULL CHECK (state IN ('valid', 'revoked')),
    added       timestamptz NOT NULL
);
CREATE INDEX credentials_by_device ON credentials (device, added);

CREATE TABLE trail (
    device     text COLLATE "C" NOT NULL,
    number     bigint NOT NULL CHECK (number > 0),
    at         timestamptz NOT NULL,
    who        text NOT NULL,
    what       text NOT NULL,
    why        text NOT NULL,
    from_state text NOT NULL,
    to_state   text NOT NULL,
    detail     text NOT NULL,
    hash       bytea NOT NULL,
    PRIMARY KEY (device, number)
);

-- A number that is given when a row is written does not tell when the row becomes
-- visible: the transaction does.
CREATE TABLE changes (
    xid  xid8 NOT NULL DEFAULT pg_current_xact_id(),
    seq  bigint GENERATED ALWAYS AS IDENTITY,
    at   timestamptz NOT NULL,
    noun text NOT NULL,
    key  text NOT NULL,
    PRIMARY KEY (xid, seq)
);

-- Up to here the log was pruned: one row.
CREATE TABLE changes_pruned (xid xid8 NOT NULL);
INSERT INTO changes_pruned VALUES ('0');

-- +goose StatementBegin
CREATE FUNCTION stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'restrict_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER trail_is_not_altered BEFORE UPDATE OR DELETE OR TRUNCATE ON trail
    EXECUTE FUNCTION stays('the trail of a device cannot be altered');
CREATE TRIGGER devices_are_not_deleted BEFORE DELETE OR TRUNCATE ON devices
    EXECUTE FUNCTION stays('a device is not deleted but retired');
