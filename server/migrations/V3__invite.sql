-- How often each invite was used.
create table conclave.invite (owner bytea, place bytea, value bytea not null, primary key (owner, place));
