"""What the heading of a column says about its role, in the languages of common review tables."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

ROLES = ("text", "label", "title", "time", "group", "user", "category")

STRONG = {
    "text": (
        "text review comment content body message narrative reviewtext feedback tweet post answer reason "
        "description freitext kommentar bewertung bewertungstext rezension nachricht beschreibung "
        "meinung inhalt avis commentaire texte contenu temoignage texto opinion resena comentario "
        "mensaje critica recensione commento testo opinione giudizio avaliacao mensagem resenha "
        "comentário opinia komentarz tresc recenzja tekst beoordeling recensie bericht anmeldelse omdome "
        "レビュー 本文 感想 コメント 口コミ クチコミ 内容 评论 内容 리뷰 отзыв"
    ),
    "label": (
        "label sentiment rating stars star score class target polarity intent grade sterne bewertung "
        "stimmung note punkte zufriedenheit klasse etoiles sentimiento polaridad puntuacion estrellas "
        "nota calificacion valoracion voto stelle punteggio valutazione sentimento avaliacao estrelas "
        "classificacao ocena gwiazdki sentyment sterren score cijfer waardering beoordeling 評価 星 点数 "
        "評点 ラベル 评分 평점 оценка betyg recommend likely satisfaction nps emotion"
    ),
    "title": (
        "title subject headline summary heading titel betreff uberschrift titre sujet objet resume "
        "titulo asunto titolo oggetto assunto tytul temat kop onderwerp タイトル 件名 题目 제목 "
        "заголовок rubrik"
    ),
    "time": (
        "date time timestamp created submitted posted published received sent written datetime datum "
        "zeit zeitpunkt erstellt ausgefullt heure fecha hora data ora dzien czas 投稿日 日付 日時 日期 "
        "날짜 дата at tid"
    ),
    "group": (
        "product item asin sku article hotel business app company movie film thread conversation book "
        "restaurant course place drug game listing shop store brand airline firm produkt artikel "
        "artikelnummer ware firma buch produit entreprise livre producto empresa libro tienda prodotto "
        "azienda albergo produto loja aplicativo ksiazka 商品 製品 店舗 产品 상품 товар parent"
    ),
    "user": (
        "user author reviewer username profile customer nickname from sender kunde nutzer benutzer autor "
        "verfasser auteur pseudo utilisateur client usuario autore utente cliente usuario uzytkownik "
        "klient klant gebruiker 投稿者 ユーザー 顧客 用户 작성자 пользователь"
    ),
    "category": (
        "category department genre division segment topic section condition queue kategorie abteilung "
        "bereich warengruppe sparte categorie rayon genere categoria departamento genero reparto "
        "kategoria dzial afdeling カテゴリ カテゴリー 分類 类别 카테고리 категория"
    ),
}
WEAK = {
    "text": "reply question complaint",
    "label": "category queue product issue priority topic recommended tone type result status",
    "title": "",
    "time": "year month updated modified",
    "group": "customer kunde klant client cliente klient order name id city",
    "user": "name person member account respondent who",
    "category": "type class product issue group language area",
}
FOREIGN = {
    "text": "reply response answered date time title titel titre id count length url score rating",
    "label": (
        "confidence helpful count votes vote version age year size thumbs useful funny cool feedback id "
        "date time text title comment probability"
    ),
    "title": "movie job book product film app",
    "time": "reply replied answer answered response birth confidence time zone timezone zone",
    "group": "version url timezone reviewer user author job nationality date",
    "user": (
        "nationality score rating timezone location age country count image avatar date text review "
        "title group device division department class category brand hotel company business app movie "
        "product zone"
    ),
    "category": "id date text score rating age reason",
}
"""Words that say that a column is about something else: `reply_date` is not the review's."""
SHORTEST_WITHIN = 5
"""Letters of a Latin term that may be within a longer word, as in Bewertungstext."""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[^\W\d_]+")
WHOLE, WORD, WITHIN, WEAKLY, AGAINST = 1.0, 0.8, 0.5, 0.4, 0.15


def words_of(heading: str) -> tuple[str, ...]:
    """Return the words of a heading in lower case and without accents: `reviewText` has two."""
    spaced = _CAMEL.sub(" ", heading)
    return tuple(_plain(word) for word in _WORD.findall(unicodedata.normalize("NFC", spaced)))


def heading_score(heading: str, role: str) -> tuple[float, str]:
    """Return how strongly a heading names a role, from 0 to 1, and the word that does."""
    words = words_of(heading)
    score, found = max(
        ((_score(words, term, strong), term) for term, strong in _terms(role)), default=(0.0, "")
    )
    if not score:
        return 0.0, ""
    against = [word for word in words if word in _foreign(role) and word != found]
    return score * (AGAINST if against else 1.0), found


def _score(words: tuple[str, ...], term: str, strong: bool) -> float:
    if term in words:
        if not strong:
            return WEAKLY
        return WHOLE if len(words) == 1 else WORD
    if not strong:
        return 0.0
    long_enough = len(term) >= (SHORTEST_WITHIN if term.isascii() else 1)
    return WITHIN if long_enough and any(term in word for word in words) else 0.0


def _plain(word: str) -> str:
    """Return a word in lower case; Latin letters lose their accents, others stay as they are."""
    folded = word.casefold()
    bare = "".join(
        letter for letter in unicodedata.normalize("NFD", folded) if not unicodedata.combining(letter)
    )
    return bare.replace("ł", "l") if bare.replace("ł", "l").isascii() else folded


@cache
def _terms(role: str) -> tuple[tuple[str, bool], ...]:
    strong = [(_plain(term), True) for term in STRONG[role].split()]
    return (*strong, *((_plain(term), False) for term in WEAK[role].split()))


@cache
def _foreign(role: str) -> frozenset[str]:
    return frozenset(FOREIGN[role].split())
