# The work of programs/perl: hashes.pl COUNT
use strict;
use warnings;

my $count = shift;
my %index;
my %length;
for my $line (1 .. $count) {
    my $word = "word" . $line * 7919 % ($count / 2 + 1);
    push @{$index{$word}}, "line $line" . "." x ($line % 40);
    $length{$line} = length $word;
}
my @words = sort keys %index;
for my $place (0 .. $#words) {
    delete $index{$words[$place]} if $place % 4 == 0;
}
for my $line (1 .. $count / 4) {
    my $word = "again" . $line;
    $index{$word} = [split //, $word];
}
my $text = join "\n", map { "$_: @{$index{$_}}" } sort keys %index;
my $vowels = () = $text =~ /[aeiou]/g;
printf "%d words, %d bytes, %d vowels\n", scalar keys %index, length $text,
    $vowels;
