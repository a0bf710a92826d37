// The work of programs/g++ and programs/clang: instantiations for the compiler,
// and a program that allocates much and prints sums when it is run.
#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <future>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

namespace
{

template <int N> struct Box {
    std::array<int, N % 17 + 1> values{};
    std::map<int, std::string> names;
    std::unique_ptr<Box<N - 1>> inner = std::make_unique<Box<N - 1>>();

    long sum()
    {
        std::iota(values.begin(), values.end(), N);
        for (int value : values)
            names[value] = std::string(static_cast<size_t>(value), 'n');
        long total = inner->sum();
        for (auto &[key, name] : names)
            total += key * static_cast<long>(name.size());
        return total;
    }
};

template <> struct Box<0> {
    long sum()
    {
        return 0;
    }
};

template <typename... Types> struct Mixture {
    std::vector<std::variant<Types...>> all;

    template <typename T> void add(T value)
    {
        all.emplace_back(std::move(value));
    }

    size_t weight() const
    {
        size_t total = 0;
        for (const auto &one : all)
            total +=
                std::visit([](const auto &held) { return sizeof held; }, one);
        return total;
    }
};

template <typename Map> long churn(unsigned seed)
{
    Map map;
    for (int step = 0; step < 40000; step++) {
        seed = seed * 1103515245u + 12345u;
        int key = static_cast<int>(seed >> 8) % 5000;
        if (seed & 0x80000000u)
            map.erase(key);
        else
            map[key] = std::string(seed % 300, 'x');
    }
    return std::accumulate(
        map.begin(), map.end(), 0L, [](long sum, const auto &entry) {
            return sum + entry.first + static_cast<long>(entry.second.size());
        });
}

long threads_exchange_blocks()
{
    std::vector<std::future<std::vector<std::unique_ptr<std::string>>>> makers;
    for (unsigned t = 0; t < 4; t++)
        makers.push_back(std::async(std::launch::async, [t] {
            std::vector<std::unique_ptr<std::string>> made;
            for (unsigned i = 0; i < 20000; i++)
                made.push_back(
                    std::make_unique<std::string>((i * (t + 3)) % 500, 'y'));
            return made;
        }));
    long total = 0;
    for (auto &maker : makers)
        for (auto &block : maker.get())
            total += static_cast<long>(block->size());
    return total;
}

long words()
{
    std::string text;
    for (int i = 0; i < 3000; i++)
        text += "name" + std::to_string(i % 97) + "=" + std::to_string(i) + ";";
    std::regex pair("([a-z]+)([0-9]+)=([0-9]+);");
    std::map<std::string, long> sums;
    for (std::sregex_iterator it(text.begin(), text.end(), pair), end;
         it != end; ++it)
        sums[(*it)[2]] += std::stol((*it)[3]);
    std::ostringstream out;
    for (auto &[name, sum] : sums)
        out << name << sum << ' ';
    return static_cast<long>(std::hash<size_t>{}(out.str().size()));
}

} // namespace

int main()
{
    std::cout << Box<60>().sum() << '\n';
    Mixture<int, double, std::string, std::list<int>, std::deque<long>,
            std::set<char>, std::tuple<int, long, char>>
        mixture;
    for (int i = 0; i < 5000; i++) {
        mixture.add(i);
        mixture.add(std::string(static_cast<size_t>(i % 100), 'm'));
        mixture.add(std::list<int>(static_cast<size_t>(i % 9), i));
        mixture.add(std::deque<long>(static_cast<size_t>(i % 5), i));
    }
    std::cout << mixture.weight() << '\n';
    std::cout << churn<std::map<int, std::string>>(1) << '\n';
    std::cout << churn<std::unordered_map<int, std::string>>(2) << '\n';
    std::cout << threads_exchange_blocks() << '\n';
    std::cout << words() << '\n';
    return 0;
}
