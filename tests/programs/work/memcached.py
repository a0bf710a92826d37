# The clients of programs/memcached: memcached.py SOCKET
#
# Each of six threads owns its keys, so its view is determined whatever the
# others do; a digest of all it read is printed.
import hashlib
import random
import socket
import sys
import threading

CLIENTS = 6
STEPS = 12000


class Client:
    def __init__(self, path, number):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.answers = self.socket.makefile("rb")
        self.random = random.Random(number)
        self.prefix = b"client%d:" % number
        self.kept = {}
        self.digest = hashlib.sha256()
        self.wrong = 0

    def expect(self, command, answer):
        self.socket.sendall(command)
        line = self.answers.readline()
        if line != answer:
            self.wrong += 1
        self.digest.update(line)

    def store(self, key):
        value = bytes([self.random.randrange(256)]) * self.random.choice(
            (3, 60, 700, 5000, 40000))
        self.kept[key] = value
        self.expect(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value),
                    b"STORED\r\n")

    def append(self, key):
        found = key in self.kept
        if found:
            self.kept[key] += b"tail"
        self.expect(b"append %s 0 0 4\r\ntail\r\n" % key,
                    b"STORED\r\n" if found else b"NOT_STORED\r\n")

    def remove(self, key):
        found = self.kept.pop(key, None) is not None
        self.expect(b"delete %s\r\n" % key,
                    b"DELETED\r\n" if found else b"NOT_FOUND\r\n")

    def fetch(self, key):
        self.socket.sendall(b"get %s\r\n" % key)
        line = self.answers.readline()
        value = None
        if line.startswith(b"VALUE"):
            value = self.answers.read(int(line.split()[3]))
            self.answers.readline()
            self.answers.readline()
        if value != self.kept.get(key):
            self.wrong += 1
        self.digest.update(value or b"-")

    def work(self):
        verbs = (self.store, self.fetch, self.fetch, self.append, self.remove)
        for _ in range(STEPS):
            key = self.prefix + b"%d" % self.random.randrange(300)
            self.random.choice(verbs)(key)


def main():
    clients = [Client(sys.argv[1], number) for number in range(CLIENTS)]
    threads = [threading.Thread(target=client.work) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for client in clients:
        print(client.prefix.decode(), client.wrong, len(client.kept),
              client.digest.hexdigest())
    sys.exit(any(client.wrong for client in clients))


main()
