-- Lists and counts of tasks with a million callees. Both indexes have no row for a callee that was called, so the way
-- of a call does not write them.

-- The failed among those that are final, in the order of the list.
CREATE INDEX callee_results_failed ON callee_results (task_no, seq) WHERE state = 'FAILED';
-- Those that were not cancelled are few; how many were is counted with the task.
CREATE INDEX callee_results_not_callable ON callee_results (task_no) WHERE failed_reason <> 'CANCELLED';
