# The work of programs/perl: prints digests only, all of them determined.
use strict;
use warnings;
use threads;
use Digest::SHA qw(sha256_hex);
use Storable qw(freeze thaw);

my $state = 12345;

sub random {
    my ($below) = @_;
    $state = ($state * 1103515245 + 12345) % 2147483648;
    return ($state >> 8) % $below;
}

sub say_digest {
    my ($name, @parts) = @_;
    print "$name ", sha256_hex(join "\0", @parts), "\n";
}

sub hashes_come_and_go {
    my %words;
    for (1 .. 200_000) {
        my $key = "k" . random(40_000);
        if (random(3) == 0) { delete $words{$key} }
        else                { $words{$key} .= chr(97 + random(26)) x random(40) }
    }
    say_digest("hashes", map { "$_=$words{$_}" } sort keys %words);
}

sub nested_structures_are_copied {
    my $tree = [ map { { id => $_, list => [ 1 .. $_ % 50 ] } } 1 .. 5_000 ];
    my $copy = thaw(freeze($tree));
    undef $tree;
    say_digest("nested", map { "$_->{id}:@{$_->{list}}" } @$copy);
}

sub strings_grow_and_match {
    my $text = "";
    $text .= "word" . random(1000) . (random(9) ? " " : "\n") for 1 .. 100_000;
    my %count;
    $count{$1}++ while $text =~ /\bword(\d+)\b/g;
    (my $changed = $text) =~ s/(\d+)/<$1>/g;
    say_digest("strings", $changed, map { "$_=$count{$_}" } sort keys %count);
    say_digest("sorted", sort { $a cmp $b } split /\s+/, $text);
}

sub children_answer {
    my @pipes;
    for my $child (1 .. 8) {
        my $pid = open(my $pipe, "-|") // die "fork: $!";
        if (!$pid) {
            my @numbers = sort { $a <=> $b } map { random(1 << 20) } 1 .. 20_000;
            print "$child ", sha256_hex("@numbers"), "\n";
            exit 0;
        }
        push @pipes, $pipe;
    }
    for my $pipe (@pipes) {
        print "child ", scalar <$pipe>;
        close $pipe or die "child: $?";
    }
}

sub threads_answer {
    my @threads = map {
        my $seed = $_;
        threads->create(sub {
            $state = $seed;
            my %heap;
            for (1 .. 30_000) {
                my $key = random(2_000);
                $heap{$key} = [ map { $key + $_ } 0 .. random(20) ];
                delete $heap{ random(2_000) };
            }
            return sha256_hex(join ";",
                map { "@{$heap{$_}}" } sort { $a <=> $b } keys %heap);
        });
    } 1 .. 6;
    print "thread ", $_->join, "\n" for @threads;
}

hashes_come_and_go();
nested_structures_are_copied();
strings_grow_and_match();
children_answer();
threads_answer();
