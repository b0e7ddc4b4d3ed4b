"""Where a zone's clocks are looked up by what people call places: cities and countries. Read once, all of it.

Rules, in order:

1. A zone goes by its IANA name, by its city in English and in each of our languages (CLDR's exemplar cities, as Babel
   has them), and by names of `_CITIES`: large cities that name no zone, where readers of ours live, and
   the few countries that keep one time although the list has more.
2. A country stands for its zones as the time zone database lists them (`zone.tab`: those of most people first), each
   that keeps another time than those before it. So Russia is eleven to choose from, and Germany is one.
3. Full names win over cities, cities over countries, and the first zone of a city over later ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo, available_timezones

from babel import Locale
from babel.core import get_global
from babel.dates import get_timezone_location

from syndicator.domain.folding import fold

__all__ = ["AREAS", "city", "plain", "zones_by_name"]

AREAS = ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
_CITIES = {
    "Asia/Baku": "Gəncə, Ganja, Гянджа, Naxçıvan, Nakhchivan, Нахичевань, Нахчыван, Sumqayıt, Sumgait, Сумгаит, "
    "Mingəçevir, Mingachevir, Мингечевир, Lənkəran, Lankaran, Ленкорань, Şəki, Sheki, Шеки, Şirvan, Shirvan, Ширван, "
    "Şuşa, Shusha, Шуша, Xankəndi, Khankendi, Ханкенди, Quba, Губа, Qəbələ, Габала, Yevlax, Евлах",
    "Asia/Tbilisi": "Batumi, Батуми, Kutaisi, Kutaisi, Кутаиси, Rustavi, Рустави, Marneuli, Марнеули",
    "Europe/Istanbul": "Ankara, Анкара, İzmir, Izmir, Измир, Antalya, Анталья, Анталия, Bursa, Бурса, Adana, Адана, "
    "Iğdır, Igdir, Ыгдыр, Kars, Карс, Trabzon, Трабзон, Konya, Конья, Gaziantep, Газиантеп",
    "Europe/Moscow": "Saint Petersburg, St Petersburg, St. Petersburg, Санкт-Петербург, Петербург, Питер, "
    "Sankt-Peterburq, Peterburq, Kazan, Казань, Qazan, Nizhny Novgorod, Нижний Новгород, Rostov, Ростов, "
    "Rostov-on-Don, Ростов-на-Дону, Krasnodar, Краснодар, Sochi, Сочи, Soçi, Voronezh, Воронеж, Makhachkala, "
    "Махачкала, Mahaçqala, Derbent, Дербент, Dərbənd, Derbend",
    "Asia/Yekaterinburg": "Ufa, Уфа, Chelyabinsk, Челябинск, Çelyabinsk, Perm, Пермь, Tyumen, Тюмень, Surgut, Сургут",
    "Asia/Vladivostok": "Khabarovsk, Хабаровск, Xabarovsk",
    "Europe/Kyiv": "Kharkiv, Харьков, Харків, Xarkov, Odesa, Odessa, Одесса, Одеса, Lviv, Львов, Львів, Lvov, Dnipro, "
    "Днепр, Дніпро, Ukraine, Украина, Ukrayna",
    "Asia/Almaty": "Astana, Астана, Shymkent, Шымкент, Çimkənd, Karaganda, Караганда, Qarağanda",
    "Asia/Tashkent": "Bukhara, Бухара, Buxara, Andijan, Андижан, Əndican, Fergana, Фергана, Fərqanə, Namangan, "
    "Наманган, Uzbekistan, Узбекистан, Özbəkistan",
    "Asia/Tehran": "Tabriz, Тебриз, Təbriz, Ardabil, Ардебиль, Ərdəbil, Urmia, Урмия, Urmiya, Mashhad, Мешхед, Məşhəd, "
    "Isfahan, Исфахан, İsfahan, Shiraz, Шираз, Şiraz",
    "Asia/Dubai": "Abu Dhabi, Абу-Даби, Əbu-Dabi, Sharjah, Шарджа",
    "Asia/Riyadh": "Jeddah, Джидда, Ciddə, Mecca, Мекка, Məkkə, Medina, Медина, Mədinə",
    "Asia/Jerusalem": "Tel Aviv, Тель-Авив, Təl-Əviv, Haifa, Хайфа",
    "Europe/Berlin": "München, Munich, Мюнхен, Münhen, Köln, Cologne, Кёльн, Hamburg, Гамбург, Hamburq, Frankfurt, "
    "Франкфурт, Stuttgart, Штутгарт, Ştutqart, Düsseldorf, Дюссельдорф, Leipzig, Лейпциг, Leypsiq, Dresden, Дрезден, "
    "Hannover, Ганновер, Nürnberg, Nuremberg, Нюрнберг, Bremen, Бремен, Bonn, Бонн, Dortmund, Дортмунд",
    "Europe/Paris": "Lyon, Лион, Marseille, Марсель, Marsel, Strasbourg, Страсбург, Strasburq, Nice, Ницца, Nitsa",
    "Europe/Rome": "Milan, Milano, Милан, Naples, Napoli, Неаполь, Turin, Torino, Турин",
    "Europe/Madrid": "Barcelona, Барселона, Valencia, Валенсия",
    "Europe/London": "Manchester, Манчестер, Mançester, Birmingham, Бирмингем, Edinburgh, Эдинбург, Edinburq, Glasgow, "
    "Глазго",
    "Europe/Zurich": "Geneva, Genève, Женева, Cenevrə, Bern, Берн, Basel, Базель",
    "Europe/Warsaw": "Krakow, Kraków, Краков, Wroclaw, Wrocław, Вроцлав, Gdansk, Gdańsk, Гданьск",
    "Europe/Amsterdam": "Rotterdam, Роттердам, The Hague, Гаага, Haaqa",
    "Asia/Kolkata": "Delhi, New Delhi, Дели, Нью-Дели, Dehli, Yeni Dehli, Mumbai, Bombay, Мумбаи, Бомбей, Bangalore, "
    "Бангалор, Chennai, Ченнаи",
    "Asia/Shanghai": "Beijing, Peking, Пекин, Pekin, Guangzhou, Гуанчжоу, Shenzhen, Шэньчжэнь, China, Китай, Çin",
    "Asia/Karachi": "Islamabad, Исламабад, İslamabad, Lahore, Лахор",
    "Asia/Tokyo": "Osaka, Осака, Kyoto, Киото",
    "America/New_York": "Washington, Вашингтон, Vaşinqton, Boston, Бостон, Miami, Майами, Philadelphia, Филадельфия",
    "America/Chicago": "Houston, Хьюстон, Dallas, Даллас",
    "America/Los_Angeles": "San Francisco, Сан-Франциско, San-Fransisko, Seattle, Сиэтл",
    "America/Toronto": "Montreal, Монреаль, Ottawa, Оттава",
    "Australia/Sydney": "Canberra, Канберра",
}
_COUNTRIES = {
    "US": "USA, US, America, США, Америка, ABŞ, Amerika",
    "GB": "UK, Britain, Great Britain, England, Великобритания, Англия, Britaniya, Böyük Britaniya, İngiltərə",
    "AE": "UAE, Emirates, ОАЭ, Эмираты, BƏƏ, Əmirliklər",
    "TR": "Turkey, Turkiye, Турция",
    "CZ": "Czech Republic, Чехия, Çexiya",
    "KR": "Korea, Корея, Koreya",
}  # as people say them beside the names in full, which Babel has

_ALIASES: Mapping[str, str] = get_global("zone_aliases")
_FORMER: dict[str, list[str]] = {}
for _was, _name in _ALIASES.items():
    _FORMER.setdefault(_name, []).append(_was)


@lru_cache(maxsize=8)
def zones_by_name(locales: tuple[str, ...], year: int) -> Mapping[str, tuple[str, ...]]:
    """Every name that zones go by (`plain`), with those that keep different times that year. Takes 0.2 s."""
    known = available_timezones()
    places = sorted(zone for zone in known if zone.partition("/")[0] in AREAS or zone == "UTC")
    found: dict[str, tuple[str, ...]] = {plain(zone): (_in_force(zone, known),) for zone in places}
    read = [Locale.parse(name) for name in locales]
    for zone in places:
        found.setdefault(plain(zone.rpartition("/")[2]), found[plain(zone)])
    for locale in read:
        for zone in places:
            found.setdefault(plain(city(zone, locale)), found[plain(zone)])
    for zone, names in _CITIES.items():
        for name in names.split(", "):
            found.setdefault(plain(name), (zone,))
    for country, zones in _countries(known, year).items():
        for locale in read:
            found.setdefault(plain(locale.territories.get(country, country)), zones)
        for name in filter(None, _COUNTRIES.get(country, "").split(", ")):
            found.setdefault(plain(name), zones)
    return found


def plain(name: str) -> str:
    """A name without what nobody wants to type exactly."""
    return " ".join(fold(name).replace("_", " ").replace("-", " ").split())


def city(zone: str, locale: Locale) -> str:
    """A zone's city, under whichever of its names the language knows it."""
    name = _ALIASES.get(zone, zone)
    known = (locale.time_zones.get(one, {}).get("city") for one in (name, *_FORMER.get(name, ())))
    return next(filter(None, known), "") or str(get_timezone_location(name, locale=locale, return_city=True))


def _in_force(zone: str, known: Collection[str]) -> str:
    """The name that a zone goes by, where it has several: cities are told by it."""
    name = str(_ALIASES.get(zone, zone))
    return name if name in known else zone


def _countries(known: Collection[str], year: int) -> Mapping[str, tuple[str, ...]]:
    """Each country's zones that keep different times (rule 2)."""
    days = [datetime(year, month, 1, tzinfo=UTC) for month in (1, 7)]
    found: dict[str, dict[object, str]] = {}
    for country, zone in _listed():
        if zone in known and not zone.startswith("Antarctica/"):
            there = ZoneInfo(zone)
            found.setdefault(country, {}).setdefault(tuple(day.astimezone(there).utcoffset() for day in days), zone)
    return {country: tuple(zones.values()) for country, zones in found.items()}


def _listed() -> Iterator[tuple[str, str]]:
    """(country, zone) as `zone.tab` has them: https://data.iana.org/time-zones/tzdb/zone.tab."""
    for line in (files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            country, _, zone, *_ = line.split("\t")
            yield country, zone
