<?php
// Work for each of PHP's larger modules; prints sums.
mt_srand(7);
ini_set('precision', 12);

$tree = [];
for ($i = 0; $i < 60000; $i++) {
    $tree["k" . $i * 7919 % 100003][] = str_repeat(chr(97 + $i % 26), $i % 200);
}
ksort($tree);
echo count($tree), ' ', md5(serialize($tree)), ' ', md5(json_encode($tree)), "\n";
echo count(unserialize(serialize($tree))), "\n";
$tree = null;

class Node { public $next; public $self; public $data; }
for ($i = 0; $i < 40000; $i++) {
    $node = new Node; $node->self = $node; $node->data = range(0, $i % 20);
}
gc_collect_cycles();

$text = '';
for ($i = 0; $i < 20000; $i++) $text .= "word" . mt_rand(0, 999) . " Größe ";
echo preg_match_all('/(\w+)(\d{2})\b/u', $text), ' ',
    md5(preg_replace_callback('/d(\d+)/', fn($m) => strrev($m[1]), $text)), "\n";
echo md5(mb_strtoupper($text)), ' ', mb_strlen($text), ' ',
    md5(mb_convert_encoding($text, 'UTF-16', 'UTF-8')), "\n";
echo md5(gzcompress($text, 9)), ' ', strlen(gzuncompress(gzcompress($text))), "\n";

$document = new DOMDocument;
$root = $document->appendChild($document->createElement('root'));
for ($i = 0; $i < 4000; $i++) {
    $item = $root->appendChild($document->createElement('item', "text $i"));
    $item->setAttribute('n', $i % 17);
}
$path = new DOMXPath($document);
echo $path->query('//item[@n=5]')->length, ' ', md5($document->saveXML()), "\n";
$read = simplexml_load_string($document->saveXML());
echo count($read->item), ' ', $read->item[77], "\n";
$style = new DOMDocument;
$reader = new XMLReader;
$reader->XML($document->saveXML());
$count = 0;
while ($reader->read()) $count++;
echo $count, "\n";

$database = new PDO('sqlite::memory:');
$database->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
$database->exec('create table t (a integer primary key, b text)');
$insert = $database->prepare('insert into t values (?, ?)');
$database->beginTransaction();
for ($i = 0; $i < 20000; $i++) $insert->execute([$i, str_repeat('z', $i % 300)]);
$database->commit();
foreach ($database->query('select a % 10 x, sum(length(b)) s, count(*) c
    from t group by 1 order by 1') as $row) echo $row['s'], ' ';
echo "\n";

$image = imagecreatetruecolor(400, 300);
for ($i = 0; $i < 400; $i++) {
    imagefilledellipse($image, mt_rand(0, 399), mt_rand(0, 299), 40, 30,
        imagecolorallocate($image, mt_rand(0, 255), mt_rand(0, 255), $i % 256));
}
$small = imagerotate(imagescale($image, 170, 130, IMG_BICUBIC), 33, 0);
foreach (['imagepng', 'imagegif', 'imagejpeg'] as $write) {
    ob_start(); $write($small); $bytes = ob_get_clean();
    $again = imagecreatefromstring($bytes);
    echo $write, ' ', md5($bytes), ' ', imagesx($again), "\n";
}

$sorter = new Collator('de_DE');
$names = [];
for ($i = 0; $i < 3000; $i++) $names[] = ['Äpfel', 'Zug', 'ähnlich', 'Ofen'][$i % 4] . $i;
$sorter->sort($names);
echo md5(implode(',', $names)), ' ', Normalizer::normalize("e\u{301}"), ' ',
    (new NumberFormatter('de_DE', NumberFormatter::SPELLOUT))->format(12345), ' ',
    (new IntlDateFormatter('fr_FR', 3, 3, 'UTC'))->format(1600000000), "\n";

echo md5(bcpow('12345678901234567890', '300')), ' ', bcsqrt('2', 300), "\n";
$bytes = openssl_encrypt($text, 'aes-256-gcm', str_repeat('k', 32), 0,
    str_repeat('i', 12), $tag);
echo md5($bytes), ' ', bin2hex($tag), ' ', hash('sha3-512', $text), "\n";
file_put_contents($file = tempnam(sys_get_temp_dir(), 'p'), $text);
$handle = curl_init("file://$file");
curl_setopt($handle, CURLOPT_RETURNTRANSFER, true);
echo strlen(curl_exec($handle)), "\n";
unlink($file);

function walk($n) { if ($n) { yield $n; yield from walk($n - 1); } }
echo array_sum(iterator_to_array(walk(800), false)), "\n";
$fiber = new Fiber(function () {
    for ($i = 0; $i < 500; $i++) Fiber::suspend(str_repeat('f', $i));
});
$length = strlen($fiber->start());
while (!$fiber->isTerminated()) $length += strlen((string)$fiber->resume());
echo $length, "\n";
