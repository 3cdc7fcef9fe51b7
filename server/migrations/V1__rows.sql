-- Rows in tables, as store/rows/mod.rs lists them. Each has an owner (a group, an account, a device, a name or an upload)
-- and a place among its owner's rows; together they are the key. Owners are what a cluster distributes tables by.
-- Values are ciphertext or small: nothing is compressed, and what is large is stored beside the table.

create table conclave.log      (owner bytea, place bytea, value bytea not null, primary key (owner, place));
create table conclave.delivery (owner bytea, place bytea, value bytea not null, primary key (owner, place));
create table conclave."commit" (owner bytea, place bytea, value bytea not null, primary key (owner, place));
create table conclave."group"  (owner bytea, place bytea, value bytea not null, primary key (owner, place));
create table conclave.leaf     (owner bytea, place bytea, value bytea not null, primary key (owner, place));
create table conclave.member   (owner bytea, place bytea, value bytea not null, primary key (owner, place));
create table conclave.cursor   (owner bytea, place bytea, value bytea not null, primary key (owner, place));
create table conclave.name     (owner bytea, place bytea, value bytea not null, primary key (owner, place));
create table conclave.account  (owner bytea, place bytea, value bytea not null, primary key (owner, place));
create table conclave.device   (owner bytea, place bytea, value bytea not null, primary key (owner, place));
create table conclave.upload   (owner bytea, place bytea, value bytea not null, primary key (owner, place));
create table conclave.part     (owner bytea, place bytea, value bytea not null, primary key (owner, place));
create table conclave.uploader (owner bytea, place bytea, value bytea not null, primary key (owner, place));
create table conclave.named    (owner bytea, place bytea, value bytea not null, primary key (owner, place));

alter table conclave.log      alter column value set storage external;
alter table conclave.delivery alter column value set storage external;
alter table conclave.part     alter column value set storage external;

-- Where every group stands, and how far every device is, changes all the time: room for it on the same page.
alter table conclave."group"  set (fillfactor = 50);
alter table conclave.cursor   set (fillfactor = 50);
