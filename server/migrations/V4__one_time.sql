-- One-time prekeys that nobody was given yet.
create table conclave.one_time (owner bytea, place bytea, value bytea not null, primary key (owner, place));
