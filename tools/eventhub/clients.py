"""Uses the event hub emulator with clients that are not ours: azure-eventhub and python-qpid-proton.

clients.py CONNECTION_STRING HUB PARTITIONS. The hub must be empty. Exits with 1 where something does not work.
"""
import sys
import threading
from urllib.parse import urlparse

from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from proton import Message, symbol
from proton.handlers import MessagingHandler
from proton.reactor import ApplicationEvent, Container, Selector

SECONDS = 60


def check(what, ok):
    print(("ok      " if ok else "FAILED  ") + what, flush=True)
    if not ok:
        sys.exit(1)


def azure(connection, partitions):
    """Sends single events, batches and keyed events, and receives them all."""
    producer = EventHubProducerClient.from_connection_string(connection)
    with producer:
        properties = producer.get_eventhub_properties()
        check("azure-eventhub: properties", len(properties["partition_ids"]) == partitions)
        producer.send_event(EventData(b"single"), partition_id="0")
        batch = producer.create_batch(partition_id="1")
        for i in range(100):
            batch.add(EventData(b"batch-%d" % i))
        producer.send_batch(batch)
        large = b"x" * (900 * 1024)
        producer.send_event(EventData(large), partition_id="0")
        for key in ("a", "b", "c"):
            for i in range(5):
                producer.send_event(EventData(f"{key}-{i}".encode()), partition_key=key)
        wanted = 1 + 100 + 1 + 15
        held = [producer.get_partition_properties(p) for p in properties["partition_ids"]]
        check("azure-eventhub: producer, batch, key, 900 KiB", sum(p["last_enqueued_sequence_number"] + 1 for p in held) == wanted)
    got, done = [], threading.Event()

    def on_event(context, event):
        got.append((context.partition_id, event.sequence_number, event.partition_key, b"".join(event.body)))
        if len(got) == wanted:
            done.set()

    consumer = EventHubConsumerClient.from_connection_string(connection, consumer_group="$Default")
    reader = threading.Thread(target=lambda: consumer.receive(on_event=on_event, starting_position="-1"), daemon=True)
    reader.start()
    done.wait(SECONDS)
    consumer.close()
    reader.join(SECONDS)
    check(f"azure-eventhub: consumer ({len(got)} of {wanted} events)", len(got) == wanted)
    batch = [body for p, _, key, body in sorted(got) if p == "1" and key is None]
    check("azure-eventhub: order in a partition", batch == [b"batch-%d" % i for i in range(100)])
    for key in (b"a", b"b", b"c"):
        of_key = [(p, body) for p, _, k, body in sorted(got) if k == key]
        check(f"azure-eventhub: key {key.decode()}", len({p for p, _ in of_key}) == 1 and [b for _, b in of_key] == [key + b"-%d" % i for i in range(5)])
    return wanted


class Proton(MessagingHandler):
    """Sends two messages to partition 0 over SASL PLAIN, and receives what lies behind a sequence number."""

    def __init__(self, connection, hub, after):
        super().__init__(auto_settle=True)
        parts = dict(part.split("=", 1) for part in connection.split(";"))
        self.url, self.user, self.key = urlparse(parts["Endpoint"]), parts["SharedAccessKeyName"], parts["SharedAccessKey"]
        self.hub, self.after, self.sent, self.accepted, self.bodies, self.error = hub, after, 0, 0, [], None

    def on_start(self, event):
        self.container = event.container
        connection = event.container.connect(f"amqp://{self.url.netloc}", user=self.user, password=self.key, allow_insecure_mechs=True, reconnect=False)
        source = f"{self.hub}/ConsumerGroups/$Default/Partitions/0"
        self.receiver = event.container.create_receiver(connection, source, options=Selector(f"amqp.annotation.x-opt-sequence-number > '{self.after}'"))
        self.sender = event.container.create_sender(connection, f"{self.hub}/Partitions/0")
        self.timer = event.container.schedule(SECONDS, self)

    def on_sendable(self, event):
        while event.sender.credit and self.sent < 2:
            event.sender.send(Message(body=b"proton-%d" % self.sent, inferred=True))
            self.sent += 1

    def on_accepted(self, event):
        self.accepted += 1

    def on_message(self, event):
        self.bodies.append(bytes(event.message.body))
        if len(self.bodies) == 2:
            self.end(event)

    def on_transport_error(self, event):
        self.error = event.transport.condition

    def on_link_error(self, event):
        self.error = event.link.remote_condition
        self.end(event)

    def on_timer_task(self, event):
        self.error = self.error or "no answer"
        self.end(event)

    def end(self, event):
        self.timer.cancel()
        self.container.stop()


def main():
    connection, hub, partitions = sys.argv[1], sys.argv[2], int(sys.argv[3])
    azure(connection, partitions)
    with EventHubProducerClient.from_connection_string(connection) as producer:
        after = producer.get_partition_properties("0")["last_enqueued_sequence_number"]
    proton = Proton(connection, hub, after)
    Container(proton).run()
    check(f"python-qpid-proton: sender and receiver ({proton.error or 'no error'})", proton.bodies == [b"proton-0", b"proton-1"] and proton.accepted == 2)


main()
