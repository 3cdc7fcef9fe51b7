-- What is true of the store as a whole, by name.
create table conclave.state (owner bytea, place bytea, value bytea not null, primary key (owner, place));
