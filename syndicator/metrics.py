"""Every number the service shows, as a named metric; nothing else may make one.

1. Names follow Prometheus' conventions: base units, `_total` for counters.
2. No label holds an address, a title or anything else a person wrote.
3. Gauges that the database knows are set when `/metrics` is asked, by the web room, and are away when it is; others
   ask who knows.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

__all__ = ["Metrics"]


class Metrics:
    """One registry with all of them; each process makes one and passes it on."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library does not say
        self.registry = CollectorRegistry()
        self.harvested = Counter(
            "syndicator_documents_total", "Documents read from sources", ["source", "result"], registry=self.registry
        )
        self.outcomes = Counter(
            "syndicator_deliveries_settled_total",
            "Deliveries by what became of them",
            ["channel", "state"],
            registry=self.registry,
        )
        self.forgotten = Counter(
            "syndicator_forgotten_total",
            "What retention has deleted, and people whom it has erased",
            ["what"],
            registry=self.registry,
        )
        self.jobs = Counter("syndicator_jobs_total", "Jobs run", ["name", "result"], registry=self.registry)
        self.job_seconds = Histogram(
            "syndicator_job_seconds",
            "How long jobs take",
            ["name"],
            registry=self.registry,
            buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300),
        )
        self.feeds_written = Counter(
            "syndicator_feed_files_written_total", "Feed files rewritten", registry=self.registry
        )
        self.requests = Counter(
            "syndicator_http_requests_total", "Requests answered", ["route", "status"], registry=self.registry
        )
        self.feed_age = Gauge(
            "syndicator_newest_feed_age_seconds",
            "Since feeds were last checked against the store",
            registry=self.registry,
        )
        self.archives_wait = Gauge(
            "syndicator_oldest_due_archive_seconds",
            "How long the oldest month of the archives that is to be built has waited",
            registry=self.registry,
        )
        self.oldest_due = Gauge(
            "syndicator_oldest_due_delivery_seconds",
            "How long the oldest due delivery has waited",
            registry=self.registry,
        )
        self.channel_lag = Gauge(
            "syndicator_oldest_open_batch_seconds",
            "How long a channel's oldest batch with something due has waited",
            ["channel"],
            registry=self.registry,
        )
        self.deliveries = Gauge(
            "syndicator_deliveries",
            "Deliveries that wait or are in trouble",
            ["channel", "state"],
            registry=self.registry,
        )
        self.unknown = Gauge(
            "syndicator_unknown_deliveries", "Deliveries whose outcome nobody can tell", registry=self.registry
        )
        self.floods = Counter(
            "syndicator_telegram_too_many_requests_total",
            "Answers 429 of the Bot API",
            registry=self.registry,
        )
        self.pauses = Gauge(
            "syndicator_telegram_pauses",
            "Pauses that Telegram asked for and that hold now",
            ["scope"],
            registry=self.registry,
        )
        self.subscriptions = Gauge(
            "syndicator_subscriptions", "Live subscriptions", ["channel", "state"], registry=self.registry
        )
        self.source_problems = Gauge(
            "syndicator_source_problems", "Documents that could not be taken", ["source"], registry=self.registry
        )
        self.alarms = Gauge(
            "syndicator_alarms",
            "What an operator was told and is not over, by kind",
            ["kind"],
            registry=self.registry,
        )
        self.database_answers = Gauge(
            "syndicator_database_answers",
            "Whether the database did when this was asked; what only it knows is missing where it did not",
            registry=self.registry,
        )
        self.telegram_answers = Counter(
            "syndicator_telegram_answers_total",
            "Answers in the bot's dialogue: sent, waited (sent after a 429), lost",
            ["result"],
            registry=self.registry,
        )
        self.returned = Counter(
            "syndicator_mail_returned_total",
            "Mails that came in: hard, soft, policy, complaint, leave, delayed, auto_reply, known, nobody, unclear",
            ["kind"],
            registry=self.registry,
        )
        self.intake_failures = Counter(
            "syndicator_mail_intake_failures_total",
            "Times that incoming mail could not be fetched or taken in; it waits where it is",
            ["reason"],
            registry=self.registry,
        )
        self.unclear_kept = Gauge(
            "syndicator_unclear_mails", "Incoming mails kept for a person to look at", registry=self.registry
        )
        self.mail_domains = Gauge(
            "syndicator_mail_domains",
            "Receiving domains that get less than they might (slowed), or nothing now (paused)",
            ["state"],
            registry=self.registry,
        )
        self.mail_shares = Gauge(
            "syndicator_mail_came_back_ratio",
            "Hard bounces and complaints among the mail of today and yesterday",
            ["kind"],
            registry=self.registry,
        )
