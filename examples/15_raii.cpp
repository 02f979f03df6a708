/* How does a C++ program use it? The declarations serve C++ as they are; the implementation is
   compiled as C, in a file of two lines (15_raii_part.c). Below is a class that owns a cache of
   strings.

   Compile and run, at the top of the tree:
       cc -std=gnu11 -O2 -pthread -I. -c examples/15_raii_part.c -o raii_part.o &&
       c++ -std=c++11 -O2 -pthread -I. examples/15_raii.cpp raii_part.o -o raii && ./raii

   Prints:
       alice: allow
       a long one: 1000 bytes
       bob: nothing
       error: the TTL is negative
*/

#include "sark_cache.h"
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>

class string_cache {
public:
    explicit string_cache(const sark_cache_config &config)
    {
        sark_cache *created = nullptr;
        require_ok(sark_cache_create(&created, &config));
        cache.reset(created);
    }

    void set(const std::string &key, const std::string &value, std::int64_t ttl_ms = 0)
    {
        require_ok(sark_cache_set(cache.get(), key.data(), key.size(), value.data(), value.size(),
                                  ttl_ms));
    }

    // Whether it is there. A value longer than the string so far is asked for again, until it fits.
    bool get(const std::string &key, std::string &value)
    {
        sark_cache_status status = SARK_CACHE_SHORT_BUFFER;
        std::size_t bytes = 64;
        while (status == SARK_CACHE_SHORT_BUFFER) {
            value.resize(bytes);
            status = sark_cache_get(cache.get(), key.data(), key.size(), &value[0], value.size(),
                                    &bytes);
        }
        value.resize(status == SARK_CACHE_OK ? bytes : 0);
        if (status != SARK_CACHE_MISS) require_ok(status);
        return status == SARK_CACHE_OK;
    }

private:
    struct closer { // gives BUSY only where pins are out, of which this class has none
        void operator()(sark_cache *owned) const { sark_cache_destroy(owned); }
    };
    std::unique_ptr<sark_cache, closer> cache;

    static void require_ok(sark_cache_status status)
    {
        if (status != SARK_CACHE_OK) throw std::runtime_error(sark_cache_status_text(status));
    }
};

int main()
try {
    sark_cache_config config = sark_cache_config(); // all zero: defaults
    config.max_entries = 1000;
    string_cache cache(config);
    cache.set("alice", "allow");
    cache.set("a long one", std::string(1000, 'x'));
    std::string value;
    if (cache.get("alice", value)) std::cout << "alice: " << value << "\n";
    if (cache.get("a long one", value)) std::cout << "a long one: " << value.size() << " bytes\n";
    std::cout << "bob: " << (cache.get("bob", value) ? value : "nothing") << "\n";
    cache.set("carol", "deny", -1);
} catch (const std::exception &error) {
    std::cout << "error: " << error.what() << "\n";
}
