# mail_dkim.pl ZONE < MESSAGE: what Mail::DKIM says of each signature, "ALGORITHM RESULT" a line.
# ZONE has a line "NAME TXT" for each record; no other name exists.
use strict;
use warnings;
use Mail::DKIM::DNS;
use Mail::DKIM::Verifier;
use Net::DNS;

package Zone;

sub new {
    my ($class, $file) = @_;
    open(my $lines, '<', $file) or die "$file: $!";
    my %records = map { chomp; split(/ /, $_, 2) } <$lines>;
    return bless { records => \%records }, $class;
}

sub send {
    my ($self, $name, $type) = @_;
    my $answer = Net::DNS::Packet->new($name, $type);
    my $text = $self->{records}{$name};
    if (defined $text) {
        $answer->push(answer => Net::DNS::RR->new(owner => $name, type => 'TXT', txtdata => [ $text =~ /(.{1,255})/gs ]));
    } else {
        $answer->header->rcode('NXDOMAIN');
    }
    return $answer;
}

sub errorstring { return 'NOERROR' }

package main;

Mail::DKIM::DNS::resolver(Zone->new($ARGV[0]));
my $verifier = Mail::DKIM::Verifier->new();
binmode(STDIN);
$verifier->load(*STDIN);
print $_->algorithm, ' ', $_->result_detail, "\n" for $verifier->signatures;
