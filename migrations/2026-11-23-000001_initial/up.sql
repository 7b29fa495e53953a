-- Everything that calltaskd keeps. States are text with a check, not enum types: readable, and easy to extend.

CREATE TABLE agents (
    agent_id    text PRIMARY KEY,
    name        text NOT NULL,
    published   boolean NOT NULL,
    sip_uri     text NOT NULL,
    sip_headers jsonb NOT NULL,
    variables   jsonb NOT NULL,
    output_tags jsonb NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE service_instances (
    service_instance_id text PRIMARY KEY,
    name                text NOT NULL,
    trunk               text NOT NULL,
    max_concurrent      integer NOT NULL,
    max_cps             integer NOT NULL,
    caller_numbers      jsonb NOT NULL,
    updated_at          timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX service_instances_by_trunk ON service_instances (trunk);

-- Who dials for a service instance. `epoch` rises with each new holder, `version` also with each change that
-- narrows the dialling; a claim names both, so that one that waited for such a change inserts nothing.
CREATE TABLE leases (
    service_instance_id text PRIMARY KEY REFERENCES service_instances,
    holder              uuid,
    epoch               bigint NOT NULL DEFAULT 0,
    version             bigint NOT NULL DEFAULT 0,
    expires_at          timestamptz NOT NULL DEFAULT '-infinity'
);
CREATE INDEX leases_by_holder ON leases (holder);

-- One row for each run of a daemon. A holder whose heartbeat is gone is dead: its outbox is published by another.
CREATE TABLE daemons (
    holder       uuid PRIMARY KEY,
    node         text NOT NULL,
    heartbeat_at timestamptz NOT NULL
);

CREATE TABLE tasks (
    task_no             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_id             uuid NOT NULL UNIQUE,
    name                text NOT NULL,
    state               text NOT NULL CHECK (state IN ('INITIALIZING', 'RUNNING', 'STOPPED', 'START_FAILED', 'COMPLETED')),
    reason              text,
    agent_id            text NOT NULL,
    service_instance_id text NOT NULL,
    concurrency         integer NOT NULL,
    start_mode          text NOT NULL CHECK (start_mode IN ('IMMEDIATE', 'SCHEDULED')),
    calling_window      jsonb NOT NULL,
    ring_timeout_seconds integer NOT NULL,
    max_talk_seconds    integer NOT NULL,
    created_at          timestamptz NOT NULL,
    started_at          timestamptz,
    completed_at        timestamptz,
    deleted_at          timestamptz
);
CREATE UNIQUE INDEX tasks_by_name ON tasks (name) WHERE deleted_at IS NULL;
CREATE INDEX tasks_running ON tasks (service_instance_id) WHERE state = 'RUNNING' AND deleted_at IS NULL;

-- The counter that gives each callee its place. Its lock orders imports and completions of a task, so that the
-- order of commits is the order of places, and a reader that goes forward skips nobody.
CREATE TABLE task_counters (
    task_no  bigint PRIMARY KEY REFERENCES tasks,
    last_seq bigint NOT NULL DEFAULT 0
);

-- What the owner counted, saved every few seconds: for screens, never for decisions.
CREATE TABLE task_progress (
    task_no   bigint PRIMARY KEY REFERENCES tasks,
    calling   bigint NOT NULL,
    completed bigint NOT NULL,
    failed    bigint NOT NULL,
    results   jsonb NOT NULL
);

-- The three big tables are partitioned by task, never by something that changes: deleting tasks is dropping
-- partitions. Rows of `callees` and `attempts` never change.
CREATE TABLE callees (
    task_no       bigint NOT NULL,
    seq           bigint NOT NULL,
    called_number text NOT NULL,
    out_id        text,
    batch_id      text,
    variables     jsonb NOT NULL,
    PRIMARY KEY (task_no, seq)
) PARTITION BY RANGE (task_no);
CREATE UNIQUE INDEX callees_by_out_id ON callees (task_no, out_id) WHERE out_id IS NOT NULL;
CREATE INDEX callees_by_number ON callees (task_no, called_number);

CREATE TABLE callee_results (
    task_no       bigint NOT NULL,
    seq           bigint NOT NULL,
    state         text NOT NULL CHECK (state IN ('COMPLETED', 'FAILED')),
    result        text,
    failed_reason text,
    attempts      integer NOT NULL,
    ended_at      timestamptz NOT NULL,
    PRIMARY KEY (task_no, seq)
) PARTITION BY RANGE (task_no);

CREATE TABLE attempts (
    task_no       bigint NOT NULL,
    seq           bigint NOT NULL,
    attempt       integer NOT NULL,
    caller_number text NOT NULL,
    result        text NOT NULL,
    counted       boolean NOT NULL,
    scope         text NOT NULL,
    sip_status    integer,
    sip_reason    text,
    sip_q850      integer,
    sip_rule      text,
    started_at    timestamptz NOT NULL,
    ringing_at    timestamptz,
    answered_at   timestamptz,
    ended_at      timestamptz NOT NULL,
    hangup_by     text,
    PRIMARY KEY (task_no, seq, attempt)
) PARTITION BY RANGE (task_no);

CREATE TABLE callees_0 PARTITION OF callees FOR VALUES FROM (0) TO (1000);
CREATE TABLE callee_results_0 PARTITION OF callee_results FOR VALUES FROM (0) TO (1000);
CREATE TABLE attempts_0 PARTITION OF attempts FOR VALUES FROM (0) TO (1000);

-- The licences to dial: one row for each attempt that is not ended, so at most one for a callee.
CREATE TABLE open_attempts (
    task_no             bigint NOT NULL,
    seq                 bigint NOT NULL,
    attempt             integer NOT NULL,
    uncounted           integer NOT NULL,
    service_instance_id text NOT NULL,
    holder              uuid NOT NULL,
    caller_number       text NOT NULL,
    claimed_at          timestamptz NOT NULL,
    PRIMARY KEY (task_no, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

-- Callees that wait for another attempt; `attempt` is the number that the next one will have.
CREATE TABLE redials (
    task_no   bigint NOT NULL,
    seq       bigint NOT NULL,
    attempt   integer NOT NULL,
    uncounted integer NOT NULL,
    due_at    timestamptz NOT NULL,
    PRIMARY KEY (task_no, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX redials_by_due ON redials (task_no, due_at);

-- Commands that took effect, with the reply they got: the memory behind `message_id`.
CREATE TABLE inbox (
    message_id  text PRIMARY KEY,
    command     text NOT NULL,
    body_sha256 bytea NOT NULL,
    reply       text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX inbox_by_age ON inbox (received_at);

-- Events that the broker has not confirmed yet.
CREATE TABLE outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id    uuid NOT NULL,
    holder      uuid NOT NULL,
    event_type  text NOT NULL,
    routing_key text NOT NULL,
    body        text NOT NULL,
    written_at  timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

-- Events for which no queue is bound: out of the way of those that have one, however many there are.
CREATE TABLE parked_events (
    id          bigint PRIMARY KEY,
    event_id    uuid NOT NULL,
    event_type  text NOT NULL,
    routing_key text NOT NULL,
    body        text NOT NULL,
    parked_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX parked_events_by_routing_key ON parked_events (routing_key, id);
CREATE INDEX parked_events_by_age ON parked_events (parked_at);

-- Orders the events of one task.
CREATE SEQUENCE event_sequence;
