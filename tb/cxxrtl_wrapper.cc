// Clocks a CXXRTL simulation and moves its streams, so that Python is called once for many clocks.
//
// Compiled together with "model.cc", the translated circuit, whose top module is called "top". Ports come as pointers
// to 32-bit words, least significant first: Python knows their names. Between two calls the clock input is low, registers
// are those of the clock that comes next, and outputs follow when the circuit is settled or clocked.

#include "model.cc"

#include <deque>

namespace {

using word = uint32_t;

// Whether something is wanted, clock by clock and over again.
struct Pattern {
    std::vector<bool> wants;

    explicit Pattern(const char *bits) {
        for (; *bits; bits++)
            wants.push_back(*bits == '1');
    }

    bool at(uint64_t clock) const { return wants[wants.size() == 1 ? 0 : clock % wants.size()]; }
};

// Component to world.
struct Sink {
    const word *payload;
    size_t words;
    const word *valid;
    word *ready;
    Pattern pattern;
    std::vector<word> payloads{};
    std::vector<uint64_t> clocks{};

    bool takes() const { return *valid && *ready; }

    void take(uint64_t clock) {
        payloads.insert(payloads.end(), payload, payload + words);
        clocks.push_back(clock);
    }

    void reset() {
        payloads.clear();
        clocks.clear();
    }
};

// World to component. With "requests", a sink, it answers: "due" holds the first clock for each answer not yet offered.
struct Source {
    word *payload;
    size_t words;
    word *valid;
    const word *ready;
    Pattern pattern;
    const Sink *requests;
    uint64_t latency;
    std::vector<word> queue{};
    size_t first = 0, queued = 0;
    std::deque<uint64_t> due{};
    bool offering = false;

    void supply(const word *payloads, size_t beats) {
        queue.erase(queue.begin(), queue.begin() + first);
        first = 0;
        queue.insert(queue.end(), payloads, payloads + beats * words);
        queued += beats;
    }

    bool is_due(uint64_t clock) const { return !requests || (!due.empty() && due.front() <= clock); }

    bool starves(uint64_t clock) const { return requests && !offering && !queued && is_due(clock); }

    void offer(uint64_t clock) {
        if (!offering && queued && is_due(clock) && pattern.at(clock)) {
            std::copy_n(queue.begin() + first, words, payload);
            first += words;
            queued--;
            if (requests)
                due.pop_front();
            offering = true;
        }
        *valid = offering;
    }

    void reset() {
        queue.clear();
        due.clear();
        first = queued = 0;
        offering = false;
    }
};

struct Watch {
    const word *port;
    bool stops;
    bool was = false;
    std::vector<uint64_t> clocks{};

    bool rises(uint64_t clock) {
        bool rose = *port && !was;
        was = *port;
        if (rose)
            clocks.push_back(clock);
        return rose;
    }

    void reset() {
        was = false;
        clocks.clear();
    }
};

struct Simulation {
    cxxrtl_design::p_top top{};
    bool converges = top.eval();
    word *clk = nullptr;
    uint64_t clock = 0;
    std::deque<Sink> sinks{};
    std::deque<Source> sources{};
    std::deque<Watch> watches{};

    void offer() {
        for (Sink &sink : sinks)
            *sink.ready = sink.pattern.at(clock);
        for (Source &source : sources)
            source.offer(clock);
    }

    void settle() {
        offer();
        top.step();
    }

    // What happens in this clock. One evaluation gives all outputs and what registers take, both from registers and
    // inputs as they are; only a circuit whose signals are not in order of their causes must settle before.
    void evaluate() {
        offer();
        if (!converges)
            top.step();
        if (clk)
            *clk = 1;
        top.eval();
    }

    // Ends the clock; whether a watch says stop. The edge counts as fallen before it is compared with the next one.
    bool finish() {
        bool stop = observe();
        if (clk)
            *clk = 0;
        top.commit();
        clock++;
        return stop;
    }

    bool observe() {
        for (Sink &sink : sinks)
            if (sink.takes()) {
                sink.take(clock);
                for (Source &source : sources)
                    if (source.requests == &sink)
                        source.due.push_back(clock + source.latency);
            }
        for (Source &source : sources)
            if (*source.ready)
                source.offering = false;
        bool stop = false;
        for (Watch &watch : watches)
            stop |= watch.rises(clock) && watch.stops;
        return stop;
    }

    bool starves() const {
        for (const Source &source : sources)
            if (source.starves(clock))
                return true;
        return false;
    }

    void forget() {
        for (Sink &sink : sinks)
            sink.reset();
        for (Source &source : sources)
            source.reset();
        for (Watch &watch : watches)
            watch.reset();
        clock = 0;
    }
};

// An AXI4-Lite manager with one transaction at a time; responses are AXI's, or these.
struct Axi {
    word *awaddr, *awvalid;
    const word *awready;
    word *wdata, *wstrb, *wvalid;
    const word *wready, *bresp, *bvalid;
    word *bready;
    word *araddr, *arvalid;
    const word *arready, *rdata, *rresp, *rvalid;
    word *rready;
};

const int OKAY = 0, NO_RESPONSE = -1;

int axi_write_word(Simulation &simulation, const Axi &axi, word address, word data, uint64_t most_clocks) {
    *axi.awaddr = address;
    *axi.wdata = data;
    *axi.wstrb = 0xf;
    *axi.awvalid = *axi.wvalid = *axi.bready = 1;
    int response = NO_RESPONSE;
    while (response == NO_RESPONSE && most_clocks--) {
        simulation.evaluate();
        word address_waits = *axi.awvalid & ~*axi.awready, data_waits = *axi.wvalid & ~*axi.wready;
        if (*axi.bvalid)
            response = *axi.bresp;
        simulation.finish();
        *axi.awvalid = address_waits;
        *axi.wvalid = data_waits;
        *axi.bready = response == NO_RESPONSE;
    }
    *axi.awvalid = *axi.wvalid = *axi.bready = 0;
    return response;
}

int axi_read_word(Simulation &simulation, const Axi &axi, word address, word &data, uint64_t most_clocks) {
    *axi.araddr = address;
    *axi.arvalid = *axi.rready = 1;
    int response = NO_RESPONSE;
    while (response == NO_RESPONSE && most_clocks--) {
        simulation.evaluate();
        word address_waits = *axi.arvalid & ~*axi.arready;
        if (*axi.rvalid) {
            response = *axi.rresp;
            data = *axi.rdata;
        }
        simulation.finish();
        *axi.arvalid = address_waits;
        *axi.rready = response == NO_RESPONSE;
    }
    *axi.arvalid = *axi.rready = 0;
    return response;
}

} // namespace

#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED Simulation *simulation_create() { return new Simulation; }

EXPORTED void simulation_destroy(Simulation *simulation) { delete simulation; }

EXPORTED void simulation_objects(Simulation *simulation, void (*found)(const char *name, const cxxrtl_object *object)) {
    cxxrtl::debug_items items;
    simulation->top.debug_info(&items, nullptr, "");
    for (auto &item : items.table)
        if (item.second.size() == 1)
            found(item.first.c_str(), &item.second[0]);
}

EXPORTED void simulation_clock(Simulation *simulation, word *clk) { simulation->clk = clk; }

EXPORTED void simulation_sink(Simulation *simulation, const word *payload, size_t words, const word *valid, word *ready,
                              const char *pattern) {
    simulation->sinks.push_back({payload, words, valid, ready, Pattern(pattern)});
}

EXPORTED void simulation_source(Simulation *simulation, word *payload, size_t words, word *valid, const word *ready,
                                const char *pattern, ptrdiff_t requests, uint64_t latency) {
    const Sink *sink = requests < 0 ? nullptr : &simulation->sinks[requests];
    simulation->sources.push_back({payload, words, valid, ready, Pattern(pattern), sink, latency});
}

EXPORTED void simulation_watch(Simulation *simulation, const word *port, bool stops) {
    simulation->watches.push_back({port, stops});
}

EXPORTED void simulation_settle(Simulation *simulation) { simulation->settle(); }

EXPORTED void simulation_reset(Simulation *simulation, word *rst) {
    *rst = 1;
    simulation->evaluate();
    simulation->finish();
    *rst = 0;
    simulation->forget();
}

EXPORTED void simulation_step(Simulation *simulation, uint64_t clocks) {
    while (clocks--) {
        simulation->evaluate();
        simulation->finish();
    }
}

enum Reason { CLOCKS, STARVED, STOPPED };

EXPORTED int simulation_run(Simulation *simulation, uint64_t most_clocks) {
    while (most_clocks--) {
        if (simulation->starves())
            return STARVED;
        simulation->evaluate();
        if (simulation->finish())
            return STOPPED;
    }
    return CLOCKS;
}

EXPORTED uint64_t simulation_clocks(const Simulation *simulation) { return simulation->clock; }

EXPORTED void simulation_supply(Simulation *simulation, size_t source, const word *payloads, size_t beats) {
    simulation->sources[source].supply(payloads, beats);
}

EXPORTED size_t simulation_queued(const Simulation *simulation, size_t source) {
    return simulation->sources[source].queued;
}

EXPORTED size_t simulation_due(const Simulation *simulation, size_t source) {
    return simulation->sources[source].due.size();
}

EXPORTED size_t simulation_logged(const Simulation *simulation, size_t sink) {
    return simulation->sinks[sink].clocks.size();
}

EXPORTED void simulation_log(Simulation *simulation, size_t sink, word *payloads, uint64_t *clocks) {
    Sink &from = simulation->sinks[sink];
    std::copy(from.payloads.begin(), from.payloads.end(), payloads);
    std::copy(from.clocks.begin(), from.clocks.end(), clocks);
    from.reset();
}

EXPORTED size_t simulation_risen(const Simulation *simulation, size_t watch) {
    return simulation->watches[watch].clocks.size();
}

EXPORTED void simulation_rises(Simulation *simulation, size_t watch, uint64_t *clocks) {
    Watch &from = simulation->watches[watch];
    std::copy(from.clocks.begin(), from.clocks.end(), clocks);
    from.clocks.clear();
}

EXPORTED int simulation_axi_write(Simulation *simulation, const Axi *axi, word address, const word *data, size_t count,
                                  uint64_t most_clocks, size_t *done) {
    int response = OKAY;
    for (*done = 0; *done < count && response == OKAY; ++*done)
        response = axi_write_word(*simulation, *axi, address + 4 * *done, data[*done], most_clocks);
    return response;
}

EXPORTED int simulation_axi_read(Simulation *simulation, const Axi *axi, word address, word *data, size_t count,
                                 uint64_t most_clocks, size_t *done) {
    int response = OKAY;
    for (*done = 0; *done < count && response == OKAY; ++*done)
        response = axi_read_word(*simulation, *axi, address + 4 * *done, data[*done], most_clocks);
    return response;
}
