/*
 * The emulated module as the daemon loads it: what its devices are, and what goes wrong, says the
 * environment's BIFURCATED_EMULATION, words in any order.
 *
 *     gpu=KEY             a GPU of devices.c; h100 unless said
 *     devices=N           so many of it
 *     memory_mb=N         with so much memory, in MiB
 *     multiprocessors=N   2 unless said: more are slower here
 *     driver=N            CUDA's version that the driver supports, such as 12040; 0: there is no driver
 *     lose=CALL:N         the N-th use of a call of CUDA ("launch" for kernels) loses the device
 *     refuse=CALL:N       ... is refused as an invalid value
 *     starve=CALL:N       ... is out of memory
 *     hang=CALL:N         ... never returns, and neither does any later call
 *     lacks=N             what cuBLASLt does not do: EMULATION_LACKS_ of runtime.h
 *     poison=HEX          data that hold these bytes lose the device that they are copied to
 *     exclusive=FOLDER    a device is one process's at a time, by locks in this folder
 *     seed=N haste=N      of the orders, as in runtime.h
 */
#include "tests/emulation/devices.h"
#include "tests/emulation/state.h"

#include <driver_types.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace
{

struct settings {
    emulation_device device = {};
    std::string poison, folder;
    std::vector<std::pair<std::string, cudaError_t>> faults; /* "CALL:N" */
    size_t memory_mb = 0;
    int multiprocessors = 2;
    std::string gpu = "h100";
};

/* A word that is not understood must not pass for a test's success. */
[[noreturn]] void refuse(const std::string &word)
{
    std::fprintf(stderr, "BIFURCATED_EMULATION: \"%s\" is not understood\n", word.c_str());
    std::exit(3);
}

std::string from_hex(const std::string &text)
{
    std::string bytes;
    for (size_t i = 0; i + 1 < text.size(); i += 2)
        bytes.push_back((char)std::stoi(text.substr(i, 2), nullptr, 16));
    return bytes;
}

void read_word(settings &all, const std::string &word)
{
    const size_t at = word.find('=');
    const std::string key = word.substr(0, at), value = at == std::string::npos ? "" : word.substr(at + 1);
    const std::map<std::string, cudaError_t> faults = {{"lose", cudaErrorIllegalAddress},
                                                       {"refuse", cudaErrorInvalidValue},
                                                       {"starve", cudaErrorMemoryAllocation},
                                                       {"hang", emulation::hangs}};
    if (value.empty())
        refuse(word);
    if (faults.count(key) && value.find(':') != std::string::npos)
        all.faults.emplace_back(value, faults.at(key));
    else if (key == "gpu" && emulation_gpu_find(value.c_str()))
        all.gpu = value;
    else if (key == "devices")
        all.device.count = value == "0" ? -1 : std::stoi(value);
    else if (key == "memory_mb")
        all.memory_mb = std::stoul(value);
    else if (key == "multiprocessors")
        all.multiprocessors = std::stoi(value);
    else if (key == "driver")
        all.device.driver = value == "0" ? -1 : std::stoi(value);
    else if (key == "lacks")
        all.device.lacks = (unsigned)std::stoul(value);
    else if (key == "poison")
        all.poison = from_hex(value);
    else if (key == "exclusive")
        all.folder = value;
    else if (key == "seed")
        all.device.seed = (unsigned)std::stoul(value);
    else if (key == "haste")
        all.device.haste = (unsigned)std::stoul(value);
    else
        refuse(word);
}

settings read_all(const std::string &text)
{
    settings all;
    all.device.haste = 30;
    for (size_t begin = 0; begin < text.size();) {
        const size_t end = std::min(text.find(' ', begin), text.size());
        if (end > begin)
            read_word(all, text.substr(begin, end - begin));
        begin = end + 1;
    }
    emulation_gpu_take(emulation_gpu_find(all.gpu.c_str()), &all.device);
    all.device.multiprocessor_count = all.multiprocessors;
    if (all.memory_mb)
        all.device.memory_bytes = (uint64_t)all.memory_mb << 20;
    return all;
}

/* A daemon that ends gives everything back, but for a lost device's. */
void check_end()
{
    const size_t left = emulation_object_count(), faults = emulation_forget();
    if (faults)
        std::fprintf(stderr, "emulation: %zu faults did not happen\n", faults);
    if (left && !emulation_is_lost()) {
        std::fprintf(stderr, "emulation: %zu objects of CUDA were left\n", left);
        std::_Exit(4);
    }
    emulation_abandon();
}

} // namespace

extern "C" void emulation_prepare(void)
{
    const char *text = std::getenv("BIFURCATED_EMULATION");
    const settings all = read_all(text ? text : "");
    if (all.device.count > EMULATION_DEVICES_MAX)
        refuse("devices=");
    std::atexit(check_end);
    emulation_reset(&all.device);
    emulation_poison(all.poison.data(), all.poison.size());
    emulation_exclude(all.folder.c_str());
    for (const auto &[word, status] : all.faults) {
        const size_t colon = word.find(':');
        const int is_sticky = status == cudaErrorIllegalAddress;
        emulation_inject(word.substr(0, colon).c_str(), (unsigned)std::stoul(word.substr(colon + 1)), status,
                         is_sticky);
    }
}
