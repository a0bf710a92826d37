# The work of programs/ruby: documents.rb COUNT
count = Integer(ARGV[0])

documents = Array.new(count) do |number|
  { "id" => number,
    "title" => "document number #{number} of #{count}, a title of some length",
    "words" => (1..6).map { |k| "word#{number * k % 9973}" } }
end

index = Hash.new { |hash, word| hash[word] = [] }
documents.each do |document|
  document["words"].each { |word| index[word] << document["id"] }
end

# A third is replaced by longer ones.
(0...count).step(3) do |number|
  documents[number] = { "id" => number, "title" => "again " * (number % 30 + 1),
                        "words" => [] }
end

lines = documents.map { |d| "#{d["id"]}: #{d["title"].upcase.reverse}" }
text = lines.join("\n")
counts = text.scan(/[A-Z]+/).tally
puts [index.size, text.size, counts.size, counts.values.max].inspect
