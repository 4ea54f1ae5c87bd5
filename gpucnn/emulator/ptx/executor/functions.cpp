// Functions that the driver provides: vprintf, and __assertfail, which an assert calls.
//
// Their arguments lie in local memory, at the places that the call's displacements name. vprintf is
// given the addresses of a format and of the values; each value lies at the next multiple of its
// size, as C passes them to a function with any number of arguments.
#include <cstdio>

#include "memory.h"

namespace ptx {
namespace {

constexpr unsigned LONGEST_TEXT = 4096;
constexpr const char* LETTERS = "diouxXcsfFeEgGaAp%";
constexpr const char* LENGTHS = "hljztL";
constexpr const char* BEFORE_A_LETTER = " +-#.*0123456789hljztL";

template <class T>
T read(Warp& w, const Instruction& i, unsigned lane, Space space, uint64_t address) {
    T value;
    const char* from = resolve(w, i, lane, space, address, sizeof(T), 1, Access::READ);
    std::memcpy(&value, from, sizeof value);
    return value;
}

std::string text_at(Warp& w, const Instruction& i, unsigned lane, uint64_t address) {
    std::string text;
    for (unsigned k = 0; k < LONGEST_TEXT; ++k) {
        const char letter = read<char>(w, i, lane, GENERIC, address + k);
        if (letter == 0) {
            break;
        }
        text += letter;
    }
    return text;
}

// The values that a format asks for, one after the other.
class Values {
public:
    Values(Warp& w, const Instruction& i, unsigned lane, uint64_t address)
        : warp_(w), instruction_(i), lane_(lane), address_(address) {}

    template <class T>
    T next() {
        address_ = (address_ + sizeof(T) - 1) / sizeof(T) * sizeof(T);
        const T value = read<T>(warp_, instruction_, lane_, GENERIC, address_);
        address_ += sizeof(T);
        return value;
    }
    std::string next_text() { return text_at(warp_, instruction_, lane_, next<uint64_t>()); }

private:
    Warp& warp_;
    const Instruction& instruction_;
    unsigned lane_;
    uint64_t address_;
};

template <class T>
std::string printed(const std::string& format, T value) {
    char buffer[512];
    std::snprintf(buffer, sizeof buffer, format.c_str(), value);
    return buffer;
}

// One conversion, such as "%5.2f", with the next value.
std::string converted(std::string format, Values& values) {
    for (size_t star; (star = format.find('*')) != std::string::npos;) {
        format.replace(star, 1, std::to_string(values.next<int32_t>()));
    }
    const bool is_long = format.find_first_of("ljzt") != std::string::npos;
    std::erase_if(format, [](char c) { return std::strchr(LENGTHS, c); });
    const char letter = format.back();
    if (is_long && std::strchr("diuxXo", letter)) {
        format.insert(format.size() - 1, "ll");
        return printed(format, values.next<int64_t>());
    }
    switch (letter) {
        case 'd': case 'i': case 'c': return printed(format, values.next<int32_t>());
        case 'u': case 'x': case 'X': case 'o': return printed(format, values.next<uint32_t>());
        case 'p': return printed(format, reinterpret_cast<void*>(values.next<uint64_t>()));
        case 's': return printed(format, values.next_text().c_str());
        case '%': return "%";
        default: return printed(format, values.next<double>());
    }
}

std::string formatted(const std::string& format, Values& values) {
    std::string text;
    for (size_t k = 0; k < format.size(); ++k) {
        if (format[k] != '%') {
            text += format[k];
            continue;
        }
        const size_t end = format.find_first_not_of(BEFORE_A_LETTER, k + 1);
        if (end == std::string::npos || !std::strchr(LETTERS, format[end])) {
            return text + format.substr(k);  // which is no conversion
        }
        text += converted(format.substr(k, end + 1 - k), values);
        k = end;
    }
    return text;
}

void print(Warp& w, const Instruction& i, uint32_t active) {
    for_lanes(active, [&](unsigned lane) {
        const auto format = read<uint64_t>(w, i, lane, LOCAL, uint64_t(i.immediate[0]));
        Values values(w, i, lane, read<uint64_t>(w, i, lane, LOCAL, uint64_t(i.immediate[1])));
        const std::string text = formatted(text_at(w, i, lane, format), values);
        std::fwrite(text.data(), 1, text.size(), stderr);
    });
}

void fail_assertion(Warp& w, const Instruction& i, uint32_t active) {
    const auto lane = unsigned(std::countr_zero(active));
    const auto message = read<uint64_t>(w, i, lane, LOCAL, uint64_t(i.immediate[0]));
    throw Failure{ASSERTION, lane, "assert|" + text_at(w, i, lane, message)};
}

}  // namespace

void add_functions(Table& t) {
    t.add("vprintf", "", print);
    t.add("__assertfail", "", fail_assertion);
}

}  // namespace ptx
