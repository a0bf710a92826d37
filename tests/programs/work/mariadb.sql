create table word (id int primary key, text text, number int,
  key (number), fulltext (text)) engine=innodb;
create table old (id int primary key, text varchar(200), number int) engine=aria;
insert into word select seq, repeat(concat(md5(seq), ' '), seq % 7 + 1),
  (seq * 7919) % 10007 from seq_1_to_30000;
insert into old select id, left(text, 200), number from word;
select count(*), sum(number), sum(crc32(text)) from word;
select number % 40 n, count(*), sum(length(text)), max(text) from word
  group by 1 order by 1;
select count(*) from word a join old b on a.number = b.number where a.id < b.id;
select id, number from word where match(text) against (md5(77));
set group_concat_max_len = 10000000;
select md5(group_concat(text order by text desc separator ',')) from word
  where id < 6000;
select sum(crc32(regexp_replace(text, '([0-9]+)([a-f]+)', '\\2-\\1'))) from word
  where id < 10000;
select sum(s) from (select id,
  sum(number) over (partition by id % 97 order by id) s from word) w;
with recursive walk(n, path) as (select 1, cast('1' as char(5000)) union all
  select n + 1, concat(path, ',', n) from walk where n < 500)
  select max(n), sum(length(path)) from walk;
select json_extract(json_object('a', json_array(1, 2, md5(3))), '$.a[2]');
select sum(json_length(json_array(id, number, text))) from word where id < 5000;
delimiter //
create procedure fill(n int)
begin
  declare i int default 0;
  create temporary table small (i int, t longtext);
  while i < n do
    insert into small values (i, repeat('x', i * 37 % 3000));
    set i = i + 1;
  end while;
  select count(*), sum(length(t)) from small;
  drop temporary table small;
end//
delimiter ;
call fill(800);
begin; update word set text = concat(text, 'x') where id % 3 = 0; rollback;
update word set text = concat(text, 'y') where id % 4 = 0;
delete from word where id % 5 = 0;
alter table word add column more varchar(20) default 'more', add index (more);
select count(*), sum(crc32(text)), sum(crc32(more)) from word;
optimize table old;
