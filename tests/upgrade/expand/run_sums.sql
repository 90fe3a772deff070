alter table run_sums add column later_note text, add column later_count integer not null default 7;
