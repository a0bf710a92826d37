-- The work of programs/sqlite3. @ROWS@ is how many.
CREATE TABLE orders(id INTEGER PRIMARY KEY, customer INTEGER, item TEXT,
                    price INTEGER, note TEXT);
WITH RECURSIVE number(n) AS (
  SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < @ROWS@)
INSERT INTO orders
SELECT n, n * 7919 % 5003, 'item ' || (n * 31 % 1009), n * 17 % 10007,
       substr('a note that is longer for some rows than for others and is '
              || 'never the same', 1, n % 70)
FROM number;
CREATE INDEX by_customer ON orders(customer);
CREATE INDEX by_item ON orders(item, price);
CREATE TABLE customers AS
SELECT customer, count(*) AS orders, sum(price) AS total,
       group_concat(item) AS items
FROM orders GROUP BY customer;
UPDATE orders SET note = note || ' (' || item || ')' WHERE id % 3 = 0;
DELETE FROM orders WHERE id % 4 = 0;
SELECT count(*), sum(length(items)), max(total) FROM customers;
SELECT item, count(*), sum(price) FROM orders
GROUP BY item ORDER BY 3 DESC LIMIT 10;
SELECT count(*), sum(length(o.note)) FROM orders o
JOIN customers c ON c.customer = o.customer WHERE c.total % 2 = 0;
SELECT sum(place * price) FROM (
  SELECT price, row_number() OVER (ORDER BY note, id) % 7 AS place FROM orders);
