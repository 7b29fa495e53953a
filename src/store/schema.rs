//! The tables as diesel knows them: those that are read and written row by row. The set-based statements
//! on the others carry their types themselves.

diesel::table! {
    agents (agent_id) {
        agent_id -> Text,
        name -> Text,
        published -> Bool,
        sip_uri -> Text,
        sip_headers -> Jsonb,
        variables -> Jsonb,
        output_tags -> Jsonb,
    }
}

diesel::table! {
    service_instances (service_instance_id) {
        service_instance_id -> Text,
        name -> Text,
        trunk -> Text,
        max_concurrent -> Int4,
        max_cps -> Int4,
        caller_numbers -> Jsonb,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    tasks (task_no) {
        task_no -> Int8,
        task_id -> Uuid,
        name -> Text,
        state -> Text,
        reason -> Nullable<Text>,
        agent_id -> Text,
        service_instance_id -> Text,
        concurrency -> Int4,
        start_mode -> Text,
        start_at -> Nullable<Timestamptz>,
        start_armed -> Bool,
        calling_window -> Jsonb,
        redial -> Nullable<Jsonb>,
        ring_timeout_seconds -> Int4,
        max_talk_seconds -> Int4,
        created_at -> Timestamptz,
        started_at -> Nullable<Timestamptz>,
        completed_at -> Nullable<Timestamptz>,
        deleted_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    exports (export_no) {
        export_no -> Int8,
        export_id -> Uuid,
        task_no -> Int8,
        task_id -> Uuid,
        name -> Text,
        format -> Text,
        status -> Text,
        state -> Text,
        epoch -> Int4,
        tries -> Int4,
        callees -> Nullable<Int8>,
        bytes -> Nullable<Int8>,
        sha256 -> Nullable<Text>,
        location -> Nullable<Text>,
        reason -> Nullable<Text>,
        created_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
        expires_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    inbox (message_id) {
        message_id -> Text,
        command -> Text,
        body_sha256 -> Binary,
        reply -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(exports, tasks);
