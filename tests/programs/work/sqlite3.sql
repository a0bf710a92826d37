-- The work of programs/sqlite3. No random(): every row follows from its number.
pragma journal_mode = memory;
pragma cache_size = 4000;
create table item (
  id integer primary key, owner int, weight real, name text, body text
);
create table owner (id integer primary key, name text unique);

with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000)
insert into owner select i, 'owner-' || (i * 7919 % 3001) from n;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 120000)
insert into item
select i, 1 + i * 104729 % 3000, i * 31 % 977 / 7.0,
  printf('item-%06d', i * 15485863 % 1000003),
  substr(hex(i * 2654435761 || 'filler' || i * 40503), 1, 10 + i * 13 % 90)
from n;

create index item_by_owner on item (owner, weight);
create index item_by_name on item (name);
analyze;

begin;
update item set body = body || name where id % 3 = 0;
update item set weight = weight * 2 where owner between 100 and 400;
delete from item where id % 11 = 0;
commit;
begin;
update item set body = upper(body) || body;
delete from owner;
rollback;

select 'join', count(*), printf('%.6f', sum(weight)), max(o.name)
from item i join owner o on o.id = i.owner where o.name like '%7%';
select 'group', owner, count(*), printf('%.4f', avg(weight)), min(name)
from item group by owner having count(*) > 36 order by 3 desc, owner limit 40;
select 'window', id, printf('%.4f', total) from (
  select id, sum(weight) over (partition by owner order by id) total from item)
where id % 4001 = 0 order by id;
select 'self', count(*) from item a join item b
on a.name = b.name and a.id < b.id;
select 'long', length(group_concat(body, ',')) from item;
select 'json', length(json_group_array(json_object('id', id, 'name', name)))
from item where id < 30000;

create virtual table words using fts5(body);
insert into words select name || ' ' || replace(body, '3', ' ') from item
where id < 15000;
select 'words', count(*) from words where words match '6 OR item';

reindex;
drop index item_by_name;
vacuum;
pragma integrity_check;
