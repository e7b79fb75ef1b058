"""What a user sees of mail that could not be delivered: the report, read in Thunderbird."""

import support
from thunderbird import FOLDERS, SEND, SHOW, ThunderbirdCase

DEAD = support.free_ports(1)[0]  # nobody listens there


class BounceTest(ThunderbirdCase):

    settings = ('queue.retry=["1s"]', "queue.lifetime=3s")
    routes = (f"far.test=127.0.0.1:{DEAD}",)

    def test_when_the_lifetime_ends_the_sender_reads_why(self):
        self.open("SSL", "imaps", "submissions")
        self.run_script(FOLDERS, ["INBOX", "Sent"])
        self.run_script(SEND, "carol@far.test", "an invitation", "Will you come on Friday?")
        self.wait_for_mail("Your message was not delivered")
        self.run_script('await arrives("INBOX", args[0]);', "Your message was not delivered")
        shown = self.run_script(SHOW, "INBOX", "Your message was not delivered", "could not be delivered")
        for words in ("It will not be tried again", "carol@far.test", "It was tried until its time was over",
                      "Connection refused", "Check the part after the @"):
            self.assertIn(words, shown)
        self.assertIn("Will you come on Friday?", self.run_script('return await text(message("INBOX", args[0]));',
                                                                  "Your message was not delivered"))
        self.picture("bounce")


if __name__ == "__main__":
    support.main()
