// Paho C's synchronous client against a broker: interop_paho_c HOST PORT. Prints PASS and FAIL
// lines. `interop_paho_c die URL VERSION TOPIC` connects with a will and ends without DISCONNECT.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <MQTTClient.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr int kDeadlineMs = 10'000;

void check(bool good, const std::string& what) {
    if (!good) throw std::runtime_error(what);
}

std::string unique(const char* name) {
    static int serial = 0;
    return std::string("c-") + name + "-" + std::to_string(getpid()) + "-" +
           std::to_string(++serial);
}

struct Message {
    std::string payload;
    int qos = 0;
    bool retained = false;
    std::vector<std::pair<std::string, std::string>> user_properties;
    std::string content_type;
    int subscription_id = -1;
};

struct Settings {
    std::string client_id = unique("id");
    bool clean = true;
    std::string will_topic;  // with payload "gone" and QoS 1; empty: no will
};

// A connected client; the destructor disconnects.
class Connection {
  public:
    Connection(const std::string& url, int version, const Settings& settings) : version_(version) {
        MQTTClient_createOptions create = MQTTClient_createOptions_initializer;
        create.MQTTVersion = version;
        check(MQTTClient_createWithOptions(&client_, url.c_str(), settings.client_id.c_str(),
                                           MQTTCLIENT_PERSISTENCE_NONE, nullptr,
                                           &create) == MQTTCLIENT_SUCCESS,
              "create");
        MQTTClient_willOptions will = MQTTClient_willOptions_initializer;
        will.topicName = settings.will_topic.c_str();
        will.message = "gone";
        will.qos = 1;
        if (version == MQTTVERSION_5) {
            connect5(settings, will);
        } else {
            connect3(settings, will);
        }
    }
    ~Connection() {
        if (version_ == MQTTVERSION_5) {
            MQTTClient_disconnect5(client_, kDeadlineMs, MQTTREASONCODE_SUCCESS, nullptr);
        } else {
            MQTTClient_disconnect(client_, kDeadlineMs);
        }
        MQTTClient_destroy(&client_);
    }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    [[nodiscard]] bool session_present() const { return session_present_; }

    void subscribe(const std::string& topic, int subscription_id = 0) {
        if (version_ != MQTTVERSION_5) {
            check(MQTTClient_subscribe(client_, topic.c_str(), 2) == MQTTCLIENT_SUCCESS,
                  "subscribe");
            return;
        }
        MQTTProperties properties = MQTTProperties_initializer;
        if (subscription_id != 0) {
            MQTTProperty property;
            property.identifier = MQTTPROPERTY_CODE_SUBSCRIPTION_IDENTIFIER;
            property.value.integer4 = static_cast<unsigned>(subscription_id);
            MQTTProperties_add(&properties, &property);
        }
        const MQTTResponse response =
            MQTTClient_subscribe5(client_, topic.c_str(), 2, nullptr, &properties);
        check(response.reasonCode == MQTTREASONCODE_GRANTED_QOS_2, "SUBACK");
        MQTTResponse_free(response);
        MQTTProperties_free(&properties);
    }

    void publish(const std::string& topic, const std::string& payload, int qos, bool retain = false,
                 MQTTProperties* properties = nullptr) {
        MQTTClient_deliveryToken token = 0;
        const int size = static_cast<int>(payload.size());
        if (version_ == MQTTVERSION_5) {
            const MQTTResponse response =
                MQTTClient_publish5(client_, topic.c_str(), size, payload.data(), qos,
                                    retain ? 1 : 0, properties, &token);
            check(response.reasonCode == MQTTREASONCODE_SUCCESS, "publish");
            MQTTResponse_free(response);
        } else {
            check(MQTTClient_publish(client_, topic.c_str(), size, payload.data(), qos,
                                     retain ? 1 : 0, &token) == MQTTCLIENT_SUCCESS,
                  "publish");
        }
        check(MQTTClient_waitForCompletion(client_, token, kDeadlineMs) == MQTTCLIENT_SUCCESS,
              "acknowledgement");
    }

    Message next() {
        char* topic = nullptr;
        int size = 0;
        MQTTClient_message* received = nullptr;
        MQTTClient_receive(client_, &topic, &size, &received, kDeadlineMs);
        check(received != nullptr, "no message in time");
        Message message;
        message.payload.assign(static_cast<const char*>(received->payload),
                               static_cast<std::size_t>(received->payloadlen));
        message.qos = received->qos;
        message.retained = received->retained != 0;
        for (int n = 0; n < received->properties.count; ++n) {
            take(received->properties.array[n], message);
        }
        MQTTClient_freeMessage(&received);
        MQTTClient_free(topic);
        return message;
    }

  private:
    static void take(const MQTTProperty& property, Message& message) {
        const auto text = [](const MQTTLenString& s) {
            return std::string(s.data, static_cast<std::size_t>(s.len));
        };
        if (property.identifier == MQTTPROPERTY_CODE_USER_PROPERTY) {
            message.user_properties.emplace_back(text(property.value.data),
                                                 text(property.value.value));
        } else if (property.identifier == MQTTPROPERTY_CODE_CONTENT_TYPE) {
            message.content_type = text(property.value.data);
        } else if (property.identifier == MQTTPROPERTY_CODE_SUBSCRIPTION_IDENTIFIER) {
            message.subscription_id = static_cast<int>(property.value.integer4);
        }
    }

    void connect3(const Settings& settings, MQTTClient_willOptions& will) {
        MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer;
        options.MQTTVersion = version_;
        options.cleansession = settings.clean ? 1 : 0;
        if (!settings.will_topic.empty()) options.will = &will;
        check(MQTTClient_connect(client_, &options) == MQTTCLIENT_SUCCESS, "connect");
        session_present_ = options.returned.sessionPresent != 0;
    }

    void connect5(const Settings& settings, MQTTClient_willOptions& will) {
        MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer5;
        options.cleanstart = settings.clean ? 1 : 0;
        if (!settings.will_topic.empty()) options.will = &will;
        MQTTProperties properties = MQTTProperties_initializer;
        MQTTProperty expiry;
        expiry.identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL;
        expiry.value.integer4 = settings.clean ? 0 : 3600;
        MQTTProperties_add(&properties, &expiry);
        const MQTTResponse response = MQTTClient_connect5(client_, &options, &properties, nullptr);
        MQTTProperties_free(&properties);
        const bool good = response.reasonCode == MQTTREASONCODE_SUCCESS;
        MQTTResponse_free(response);
        check(good, "connect");
        session_present_ = options.returned.sessionPresent != 0;
    }

    MQTTClient client_ = nullptr;
    int version_;
    bool session_present_ = false;
};

void every_qos(const std::string& url, int version) {
    const std::string topic = unique("qos");
    Connection client(url, version, {});
    client.subscribe(topic);
    for (int qos = 0; qos <= 2; ++qos) {
        client.publish(topic, "message " + std::to_string(qos), qos);
        const Message message = client.next();
        check(message.payload == "message " + std::to_string(qos) && message.qos == qos, "message");
    }
    client.publish(topic, std::string(300'000, 'x'), 1);
    check(client.next().payload.size() == 300'000, "large message");
}

void retained(const std::string& url, int version) {
    const std::string topic = unique("retained");
    Connection writer(url, version, {});
    writer.publish(topic, "kept", 1, true);
    Connection reader(url, version, {});
    reader.subscribe(topic);
    const Message message = reader.next();
    check(message.payload == "kept" && message.retained, "retained message");
    writer.publish(topic, "", 1, true);
    check(reader.next().payload.empty(), "removal");
    Connection late(url, version, {});
    late.subscribe(topic + "/#");
    writer.publish(topic + "/end", "end", 1);
    check(late.next().payload == "end", "a removed message was sent");
}

// Threads and fork do not mix: the client that dies is a program of its own.
void run_dying_client(const std::string& program, const std::string& url, int version,
                      const std::string& topic) {
    const std::string number = std::to_string(version);
    const pid_t child = fork();
    check(child >= 0, "fork");
    if (child == 0) {
        execl(program.c_str(), program.c_str(), "die", url.c_str(), number.c_str(), topic.c_str(),
              nullptr);
        _exit(127);
    }
    int status = 0;
    check(waitpid(child, &status, 0) == child && status == 0, "dying client");
}

void will(const std::string& program, const std::string& url, int version) {
    const std::string topic = unique("will");
    Connection reader(url, version, {});
    reader.subscribe(topic);
    {
        Settings settings;
        settings.will_topic = topic;
        Connection polite(url, version, settings);
    }
    run_dying_client(program, url, version, topic);
    check(reader.next().payload == "gone", "will");
    reader.publish(topic, "end", 1);
    check(reader.next().payload == "end", "second will");
}

void persistent_session(const std::string& url, int version) {
    const std::string topic = unique("session");
    Settings settings;
    settings.clean = false;
    { Connection(url, version, settings).subscribe(topic); }
    Connection writer(url, version, {});
    for (int n = 0; n < 10; ++n)
        writer.publish(topic, std::to_string(n), 1 + n % 2);
    Connection reader(url, version, settings);
    // Version 3.1 has no such flag, and Paho 1.3 does not report it for version 5.
    check(reader.session_present() || version != MQTTVERSION_3_1_1, "session present");
    std::string by_qos[2];  // order holds for each QoS
    for (int n = 0; n < 10; ++n) {
        const std::string payload = reader.next().payload;
        by_qos[std::atoi(payload.c_str()) % 2] += payload;
    }
    check(by_qos[0] + by_qos[1] == "0246813579", "messages of the session");
    writer.publish(topic, "end", 2);
    check(reader.next().payload == "end", "something came twice");
}

void properties(const std::string& url) {
    const std::string topic = unique("properties");
    Connection client(url, MQTTVERSION_5, {});
    client.subscribe(topic, 33);
    MQTTProperties list = MQTTProperties_initializer;
    char key[] = "key";
    char text[] = "text/plain";
    char values[2][2] = {"1", "2"};
    for (char* value : {values[0], values[1]}) {
        MQTTProperty property;
        property.identifier = MQTTPROPERTY_CODE_USER_PROPERTY;
        property.value.data = {3, key};
        property.value.value = {1, value};
        MQTTProperties_add(&list, &property);
    }
    MQTTProperty type;
    type.identifier = MQTTPROPERTY_CODE_CONTENT_TYPE;
    type.value.data = {10, text};
    MQTTProperties_add(&list, &type);
    client.publish(topic, "x", 1, false, &list);
    MQTTProperties_free(&list);
    const Message message = client.next();
    const std::vector<std::pair<std::string, std::string>> wanted = {{"key", "1"}, {"key", "2"}};
    check(message.user_properties == wanted, "user properties");
    check(message.content_type == "text/plain", "content type");
    check(message.subscription_id == 33, "subscription identifier");
}

int run_all(const std::string& program, const std::string& url) {
    std::vector<std::pair<std::string, std::function<void()>>> scenarios;
    scenarios.emplace_back("v5 properties", [&url] { properties(url); });
    for (const int version : {MQTTVERSION_3_1, MQTTVERSION_3_1_1, MQTTVERSION_5}) {
        const std::string suffix = ", version " + std::to_string(version);
        scenarios.emplace_back("every qos" + suffix, [=] { every_qos(url, version); });
        scenarios.emplace_back("retained" + suffix, [=] { retained(url, version); });
        scenarios.emplace_back("will" + suffix, [=] { will(program, url, version); });
        scenarios.emplace_back("persistent session" + suffix,
                               [=] { persistent_session(url, version); });
    }
    int failed = 0;
    for (const auto& [name, run] : scenarios) {
        try {
            run();
            std::printf("PASS paho c: %s\n", name.c_str());
        } catch (const std::exception& error) {
            ++failed;
            std::printf("FAIL paho c: %s: %s\n", name.c_str(), error.what());
        }
        std::fflush(stdout);
    }
    return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 5 && std::strcmp(argv[1], "die") == 0) {
        Settings settings;
        settings.will_topic = argv[4];
        const auto lost = std::make_unique<Connection>(argv[2], std::atoi(argv[3]), settings);
        _exit(0);
    }
    if (argc != 3) {
        std::fprintf(stderr, "usage: interop_paho_c HOST PORT\n");
        return 2;
    }
    return run_all(argv[0], std::string("tcp://") + argv[1] + ":" + argv[2]);
}
