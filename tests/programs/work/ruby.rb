# Work for Ruby; prints sums.
require 'digest'
require 'erb'
require 'json'
require 'openssl'
require 'ripper'
require 'set'
require 'stringio'
require 'yaml'
require 'zlib'

def sum(text) = Digest::MD5.hexdigest(text)

tree = Hash.new { |hash, key| hash[key] = [] }
60_000.times { |i| tree["k#{i * 7919 % 10_007}"] << 'x' * (i % 150) }
puts sum(JSON.generate(tree.sort.to_h)), sum(Marshal.dump(tree.sort))
part = tree.sort.first(600).to_h
puts YAML.load(YAML.dump(part)) == part, JSON.parse(JSON.generate(tree)) == tree
tree = nil
GC.start

threads = (1..6).map do |t|
  Thread.new do
    (1..3000).map { |i| "#{t}-#{i}" * (i % 30) }.then { |a| sum(a.join) }
  end
end
puts threads.map(&:value)

queue = SizedQueue.new(50)
producer = Thread.new { 5000.times { |i| queue << 'q' * (i % 500) }; queue << nil }
total = 0
while (item = queue.pop) do total += item.size end
producer.join
puts total

puts 4.times.map { |n|
  Ractor.new(n) { |m| (1..8000).map { |i| "r#{m}#{i}" }.sort.join.size }
}.map(&:take)

children = 4.times.map do |n|
  reader, writer = IO.pipe
  fork do
    reader.close
    writer.write sum((1..20_000).map { |i| "c#{n}#{i}" }.join)
    exit!(0)
  end
  writer.close
  reader
end
puts children.map(&:read)
Process.waitall.each { |_, status| puts status.success? }

fibers = 300.times.map { |n| Fiber.new { 20.times { |i| Fiber.yield 'f' * (n + i) } } }
puts fibers.sum { |fiber| 20.times.sum { fiber.resume.size } }

keep = (1..100_000).map { |i| i.odd? ? i.to_s * 3 : nil }
GC.respond_to?(:compact) && GC.compact
puts keep.compact.size
GC.stress = true
20.times { |i| Array.new(3) { "stress #{i}" } }
GC.stress = false

text = (1..30_000).map { |i| "word#{i % 997} Größe" }.join(' ')
puts text.scan(/(\p{L}+)(\d*)/).size, sum(text.gsub(/d(\d+)/) { $1.reverse })
puts sum(text.encode('UTF-16LE')), sum(text.unicode_normalize(:nfd))
puts sum(Zlib::Deflate.deflate(text, 9)), Zlib.gunzip(Zlib.gzip(text)) == text.b
cipher = OpenSSL::Cipher.new('aes-256-cbc').encrypt
cipher.key = 'k' * 32
cipher.iv = 'i' * 16
puts sum(cipher.update(text) + cipher.final)
key = OpenSSL::PKey::RSA.new(1024)
puts key.public_key.verify('SHA256', key.sign('SHA256', text), text)
puts sum((3**20_000).to_s), (1..300).inject(:*).digits.sum, 2r**-70
puts sum(ERB.new('<% 2000.times do |i| %><b><%= i %></b><% end %>').result)
puts Ripper.sexp(File.read(__FILE__, encoding: "UTF-8")).flatten.size
puts RubyVM::InstructionSequence.compile_file(__FILE__).disasm.size > 1000
puts `echo from a child`, ObjectSpace.each_object(Class).count > 500
(1..200).each { |i| eval("def method_#{i}(a) = a + #{i}") }
puts (1..200).sum { |i| send("method_#{i}", i) }
puts Set.new((1..50_000).map { |i| i * i % 10_007 }).size
