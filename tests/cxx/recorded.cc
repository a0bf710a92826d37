// recorded.cc - what comes by each operator new goes by an operator delete at
// once: ptm record has to see both of each (tests/cli/record_cxx.sh).
#include <new>

enum { rounds = 1000, bytes = 1000 };
static const std::align_val_t aligned{64};

int main()
{
    for (int i = 0; i < rounds; i++) {
        ::operator delete(::operator new(bytes));
        ::operator delete(::operator new(bytes), bytes);
        ::operator delete[](::operator new[](bytes));
        ::operator delete[](::operator new[](bytes), bytes);
        ::operator delete(::operator new(bytes, aligned), aligned);
        ::operator delete(::operator new(bytes, aligned), bytes, aligned);
        ::operator delete[](::operator new[](bytes, aligned), aligned);
        ::operator delete[](::operator new[](bytes, aligned), bytes, aligned);
        ::operator delete(::operator new(bytes, std::nothrow), std::nothrow);
        ::operator delete[](::operator new[](bytes, std::nothrow),
                            std::nothrow);
        ::operator delete(::operator new(bytes, aligned, std::nothrow), aligned,
                          std::nothrow);
        ::operator delete[](::operator new[](bytes, aligned, std::nothrow),
                            aligned, std::nothrow);
    }
    // What no memory is for is still ptm's operator's to refuse.
    volatile unsigned long too_much = 1ul << 60;
    int refused = ::operator new(too_much, std::nothrow) == nullptr;
    try {
        ::operator delete(::operator new(too_much));
    } catch (const std::bad_alloc &) {
        refused++;
    }
    return refused == 2 ? 0 : 1;
}
