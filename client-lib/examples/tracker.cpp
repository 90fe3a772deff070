// A tracker in C++: the client and its run end with their scope, and errors are exceptions.
//
//     c++ -std=c++17 tracker.cpp $(pkg-config --cflags --libs carbond) -o tracker
//     CARBOND_URL=http://127.0.0.1:8008 CARBOND_TOKEN=cpt_... CARBOND_EXPERIMENT_ID=... ./tracker
#include <carbond.h>

#include <exception>
#include <iostream>
#include <memory>
#include <stdexcept>

namespace {

void check(int code) {
    if (code != CARBOND_OK && code != CARBOND_NOT_DURABLE)
        throw std::runtime_error(carbond_strerror(code));
}

struct Closer {
    void operator()(carbond_client *client) const {
        carbond_close(client);
    }
};
using Client = std::unique_ptr<carbond_client, Closer>;

Client open() {
    carbond_options options;
    carbond_options_init(&options, sizeof options);
    options.log = [](void *, int, const char *message) { std::cerr << message << '\n'; };
    carbond_client *client = nullptr;
    check(carbond_open(&options, &client));
    return Client(client);
}

carbond_run *start(carbond_client *client) {
    carbond_run_info info;
    carbond_run_info_init(&info, sizeof info);
    info.os = "Linux";
    info.tracking_mode = "process";
    carbond_run *run = nullptr;
    check(carbond_run_start(client, &info, &run));
    return run;
}

} // namespace

int main() try {
    Client client = open();
    carbond_run *run = start(client.get());
    for (int i = 0; i < 10; i++) {
        carbond_emission emission;
        carbond_emission_init(&emission, sizeof emission);
        emission.duration = 15;            // s
        emission.energy_consumed = 3.4e-05; // kWh
        emission.emissions_sum = 1.9e-06;  // kg CO2eq
        check(carbond_emit_sync(run, &emission)); // on the disk when it returns
    }
    std::cout << carbond_run_id(run) << '\n';
    return carbond_flush(client.get(), 5000) == CARBOND_OK ? 0 : 3;
} catch (const std::exception &problem) {
    std::cerr << problem.what() << '\n';
    return 1;
}
