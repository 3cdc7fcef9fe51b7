-- Rows in tables, as store/rows/mod.rs lists them. Each has a home (a group, an account, a device, a name or an upload)
-- and a place in it; together they are the key. Homes are what a cluster distributes tables by.
-- Values are ciphertext or small: nothing is compressed, and what is large is stored beside the table.

create table conclave.log      (home bytea, place bytea, value bytea not null, primary key (home, place));
create table conclave.delivery (home bytea, place bytea, value bytea not null, primary key (home, place));
create table conclave."commit" (home bytea, place bytea, value bytea not null, primary key (home, place));
create table conclave."group"  (home bytea, place bytea, value bytea not null, primary key (home, place));
create table conclave.leaf     (home bytea, place bytea, value bytea not null, primary key (home, place));
create table conclave.member   (home bytea, place bytea, value bytea not null, primary key (home, place));
create table conclave.cursor   (home bytea, place bytea, value bytea not null, primary key (home, place));
create table conclave.name     (home bytea, place bytea, value bytea not null, primary key (home, place));
create table conclave.account  (home bytea, place bytea, value bytea not null, primary key (home, place));
create table conclave.device   (home bytea, place bytea, value bytea not null, primary key (home, place));
create table conclave.upload   (home bytea, place bytea, value bytea not null, primary key (home, place));
create table conclave.part     (home bytea, place bytea, value bytea not null, primary key (home, place));
create table conclave.uploader (home bytea, place bytea, value bytea not null, primary key (home, place));
create table conclave.named    (home bytea, place bytea, value bytea not null, primary key (home, place));
create table conclave.state    (home bytea, place bytea, value bytea not null, primary key (home, place));
create table conclave.invite   (home bytea, place bytea, value bytea not null, primary key (home, place));
create table conclave.one_time (home bytea, place bytea, value bytea not null, primary key (home, place));
create table conclave.mailbox  (home bytea, place bytea, value bytea not null, primary key (home, place));
create table conclave.letter   (home bytea, place bytea, value bytea not null, primary key (home, place));
create table conclave.kept     (home bytea, place bytea, value bytea not null, primary key (home, place));
create table conclave.dated    (home bytea, place bytea, value bytea not null, primary key (home, place));
create table conclave.secret   (home bytea, place bytea, value bytea not null, primary key (home, place));
create table conclave.trim     (home bytea, place bytea, value bytea not null, primary key (home, place));

-- The last batch of each server that ever ran: what tells it, after a lost connection, whether that batch was committed.
create table conclave.batch (server bytea primary key, number bigint not null) with (fillfactor = 50);

alter table conclave.log      alter column value set storage external;
alter table conclave.delivery alter column value set storage external;
alter table conclave.part     alter column value set storage external;
alter table conclave.letter   alter column value set storage external;

-- Where every group stands, and how far every device is, changes all the time: room for it on the same page.
alter table conclave."group"  set (fillfactor = 50);
alter table conclave.cursor   set (fillfactor = 50);
