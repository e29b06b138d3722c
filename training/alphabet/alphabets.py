"""Alphabets to train heads for: letters, languages, and what else a label prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ACCENTED = "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØŒÙÚÛÜÝàáâãäåæçèéêëìíîïñòóôõöøœùúûüýßŠšŽžČčĆćĐđ"
DIGITS = "0123456789"
SIGNS = " .,:;!?-–—/\\|()[]%‰+=×*&@#№«»„“”\"'’°₽€$£₴₸©®™•·_~<>^½²³"
RARE = 3
"""Times that a letter stands in a word list at least: rarer ones are slips."""
UNKNOWN = "\N{REPLACEMENT CHARACTER}"
"""What the head answers for a letter of no alphabet of its own, so that it knows what it cannot read."""


@dataclass(frozen=True)
class Alphabet:
    """What a head reads.

    letters: of the alphabet itself; Latin, digits and signs come with every head, since labels mix them.
    languages: file of a word list or hunspell dictionary by language, with how often it is drawn; a bare name is one of the
        folder of dictionaries.
    """

    name: str
    letters: str
    languages: Mapping[str, float]
    units: tuple[str, ...]
    twins: tuple[tuple[str, str], ...] = ()
    """Pairs of a letter of its own and a Latin one of the same shape, the usual one first."""

    @property
    def characters(self) -> str:
        """Every character that the head names, in the order of its symbols."""
        return "".join(dict.fromkeys(SIGNS + DIGITS + LATIN + ACCENTED + self.letters)) + UNKNOWN


    @classmethod
    def of_words(cls, name: str, file: Path) -> Alphabet:
        """The alphabet that a word list is written in: its letters in both cases, without Latin ones.

        Raises ValueError when the list has no other letters.
        """
        seen = Counter(file.read_text("utf-8-sig", errors="replace"))
        common = {one for one, count in seen.items() if one.isalpha() and count >= RARE and one not in LATIN + ACCENTED}
        letters = {form for one in common for form in (one, one.lower(), one.upper()) if len(form) == 1}
        if not letters:
            raise ValueError(f"{file} is written in Latin letters, which every head reads. Give a word list of another alphabet.")
        return cls(name, "".join(sorted(letters)), {str(file.absolute()): 1.0}, ())


_RUSSIAN = "АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ"
_OTHERS = "ЄІЇҐ" "Ў" "ЂЃЅЈЉЊЋЌЏ" "ӘҒҚҢӨҰҮҺ"
"""Ukrainian, Belarusian, Serbian and Macedonian, Kazakh."""

CYRILLIC = Alphabet(
    "cyrillic",
    _RUSSIAN + _OTHERS + (_RUSSIAN + _OTHERS).lower(),
    {
        "ru_RU.dic": 0.56,
        "uk_UA.dic": 0.10,
        "be_BY.dic": 0.08,
        "bg_BG.dic": 0.08,
        "sr_RS.dic": 0.08,
        "kk_KZ.dic": 0.10,
    },
    ("мл", "г", "кг", "л", "шт", "шт.", "мг", "см", "мм", "м", "гр", "таб.", "°С", "ккал", "кДж",
     "руб.", "₽", "лет", "мин", "мкг", "кап."),
    tuple(zip("АВСЕНІЈКМОРТХУаеорсухіјтпигдбЬҮ", "ABCEHIJKMOPTXYaeopcyxijmnurg6bY", strict=True)),
)
WESTERN: Mapping[str, float] = {"en_US.dic": 0.6, "de_DE.dic": 0.2, "fr.dic": 0.2}
"""Latin words, which stand on the labels of every country."""
FOREIGN = (
    "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩαβγδεζηθικλμνξοπρστυφχψω",
    "ԱԲԳԴԵԶԷԸԹԺԻԼԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՍՎՏՐՑՓՔՕՖաբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցփքօֆ",
    "აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ",
    "אבגדהוזחטיכלמנסעפצקרשתםןףץ",
    "กขคฆงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรลวศษสหฬอฮ",
    "的一是不了人我在有他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年生自会那后能对着事其里所去行过家十用发天如然作方成者多日都三小军二无同么经法当起与好看学进种将还分此心前面又定见只主没公从知全工品洗发护肤水乳霜清洁保湿修复精华面膜沐浴露牙膏口红香皂食用油盐糖酱醋茶叶咖啡牛奶饼干巧克力",
    "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわをんアイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン",
)  # fmt: skip
"""Letters of scripts that a head does not read, from each of which words are made."""
