set work_mem = '2MB';
create table word (id int primary key, text text, number int, doc jsonb);
insert into word
  select i, repeat(md5(i::text), i % 9), (i * 7919) % 10007,
    jsonb_build_object('n', i % 100, 'list', array[i, i + 1], 'text', md5(i::text))
  from generate_series(1, 60000) i;
create index on word (number);
create index on word using gin (doc);
analyze word;

select count(*), sum(number), md5(string_agg(md5(text), '' order by id)) from word;
select number % 50 as n, count(*), sum(length(text)), max(text)
  from word group by 1 order by 1;
select count(*) from word a join word b on a.number = b.number where a.id < b.id;
select doc->>'n', count(*), sum((doc->'list'->>0)::int) from word
  where doc @> '{"n": 7}' or doc @> '{"n": 8}' group by 1 order by 1;
select md5(string_agg(x::text, ',' order by x)) from
  (select percentile_cont(0.5) within group (order by id) x
   from word group by number % 500) s;
select md5(string_agg(regexp_replace(text, '([0-9]+)([a-f]+)', '\2-\1', 'g'), ''
  order by id)) from word where id < 20000;
select md5(string_agg(s::text, '' order by id)) from
  (select id, sum(number) over (partition by id % 97 order by id) s from word) w;
with recursive walk(n, path) as (
  select 1, array[1]
  union all select n + 1, path || n from walk where n < 600)
  select max(n), sum(array_length(path, 1)) from walk;
select sum(a * a / (b + 1.5)), count(*) filter (where a % 3 = 0 and b % 5 < 2)
  from generate_series(1, 700) a, generate_series(1, 300) b;

create extension pg_trgm;
create extension hstore;
create extension pgcrypto;
create index on word using gist (text gist_trgm_ops);
select count(*), round(sum(similarity(text, md5('77')))::numeric, 3) from word
  where text % md5('77');
select count(*), md5(string_agg((hstore('a', text) || hstore('b', id::text))::text,
  '' order by id)) from word where id < 3000;
select md5(string_agg(encode(digest(text, 'sha512'), 'hex'), '' order by id))
  from word where id < 5000;

create function collatz(n bigint) returns int language plpgsql as $$
declare steps int := 0;
begin
  while n <> 1 loop
    n := case when n % 2 = 0 then n / 2 else 3 * n + 1 end;
    steps := steps + 1;
  end loop;
  return steps;
exception when others then return -1;
end $$;
select max(collatz(i)), sum(collatz(i)) from generate_series(1, 3000) i;

select count(*), md5(string_agg(x::text, '' order by x::text)) from
  (select xmlelement(name word, xmlattributes(id), text) x
   from word where id < 3000) s;
update word set text = text || 'x' where id % 3 = 0;
delete from word where id % 5 = 0;
select count(*), sum(length(text)) from word;
do $$ begin perform 1 / 0; exception when division_by_zero then null; end $$;
