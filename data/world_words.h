/* world_words.h — the words and sentence forms of the demo world. In a form, @ is the person and #
 * the value.
 *
 * What lets a small model carry facts over to questions (docs/demo-world.md): the name stands
 * before the value, the value is spelt alike everywhere (so no job needs "an"), and no word serves
 * two attributes or a surname. */
#ifndef DATA_WORLD_WORDS_H
#define DATA_WORLD_WORDS_H
#include "data/world.h"

enum {
    N_FIRST = 40,
    N_FEMALE = 20,
    N_SURNAME = 160,
    N_FILLER = 7,
    N_FORM = 8,
    N_ASKED = 2,
    MAX_VALUE = 24
};

// clang-format off
static const char *const FIRST_NAMES[N_FIRST] = { /* the first N_FEMALE are women */
    "Ann", "Beth", "Clara", "Diana", "Ella", "Fiona", "Grace", "Helen", "Irene", "Jane",
    "Kate", "Laura", "Mary", "Nora", "Olive", "Polly", "Ruth", "Sarah", "Tess", "Vera",
    "Adam", "Brian", "Colin", "David", "Edgar", "Frank", "George", "Harry", "Ian", "Jack",
    "Keith", "Leo", "Mark", "Neil", "Oscar", "Peter", "Ralph", "Simon", "Tom", "Victor",
};

static const char *const SURNAMES[N_SURNAME] = {
    "Abbott", "Adams", "Allen", "Andrews", "Archer", "Armstrong", "Atkinson", "Austin", "Bailey", "Ball",
    "Banks", "Barker", "Barnes", "Barrett", "Bates", "Bell", "Bennett", "Berry", "Bird", "Black",
    "Booth", "Bradley", "Brooks", "Brown", "Burgess", "Burns", "Burton", "Carr", "Carter", "Chambers",
    "Chapman", "Clark", "Coleman", "Collins", "Cooper", "Cox", "Crawford", "Cross", "Curtis", "Davies",
    "Dawson", "Dean", "Dixon", "Douglas", "Drake", "Duncan", "Dunn", "Edwards", "Elliott", "Ellis",
    "Evans", "Ferguson", "Fisher", "Fletcher", "Ford", "Foster", "Fox", "Francis", "Fraser", "Freeman",
    "Gibson", "Gilbert", "Goodwin", "Gordon", "Graham", "Gray", "Green", "Griffiths", "Hall", "Hamilton",
    "Hardy", "Harper", "Harris", "Harvey", "Hawkins", "Hayes", "Henderson", "Higgins", "Hill", "Holland",
    "Holmes", "Hopkins", "Howard", "Hudson", "Hughes", "Hunter", "Jackson", "Jenkins", "Johnson", "Jones",
    "Jordan", "Kelly", "Kennedy", "King", "Knight", "Lambert", "Lane", "Lawson", "Lee", "Lewis",
    "Lloyd", "Marsh", "Marshall", "Martin", "Matthews", "Miller", "Mills", "Mitchell", "Moore", "Morgan",
    "Morris", "Murphy", "Murray", "Nash", "Newman", "Newton", "Norris", "Osborne", "Owen", "Page",
    "Palmer", "Parker", "Parsons", "Payne", "Pearson", "Perry", "Phillips", "Porter", "Powell", "Price",
    "Quinn", "Reed", "Reynolds", "Richards", "Roberts", "Robinson", "Rogers", "Ross", "Russell", "Saunders",
    "Scott", "Shaw", "Simpson", "Smith", "Spencer", "Stevens", "Stone", "Sutton", "Thompson", "Tucker",
    "Turner", "Walker", "Wallace", "Watson", "Weaver", "Webb", "Wells", "Wilson", "Wright", "Young",
};

typedef struct Attribute {
    const char *name;
    int n_value;
    const char *value[MAX_VALUE];
    const char *form[N_FORM]; /* the first 4 are the world with 4 phrasings */
    const char *inverted, *asked[N_ASKED];
} Attribute;

enum { TOWN, JOB, EMPLOYER, INSTRUMENT };

static const Attribute ATTRIBUTES[WORLD_N_ATTRIBUTE] = {
    [TOWN] = { "town", 24,
        { "Ashford", "Barton", "Clifton", "Denby", "Elmswell", "Farnham", "Grantham", "Hexham",
          "Ilkley", "Jarrow", "Kendal", "Ludlow", "Malvern", "Newbury", "Oakham", "Penrith",
          "Quorn", "Ripon", "Selby", "Tetbury", "Ulverston", "Ventnor", "Whitby", "Yarm" },
        { "@ lives in #", "@ has a home in #", "@ resides in #", "@ rents a flat in #",
          "@ has settled in #", "@ sleeps in a house in #", "@ votes in #", "The home of @ is in #" },
        "# is the home of @", { "Where does @ live? #.", "In which town does @ live? #." } },
    [JOB] = { "job", 24,
        { "baker", "barber", "brewer", "butcher", "carpenter", "cobbler", "dentist", "doctor",
          "farmer", "gardener", "hatter", "joiner", "lawyer", "mason", "nurse", "painter",
          "plumber", "potter", "roofer", "sailor", "tailor", "teacher", "vet", "welder" },
        { "@ works as a #", "@ is a #", "The trade of @ is that of a #", "@ makes a living as a #",
          "@ is a # by trade", "@ trained as a #", "@ is known as a good #", "@ spends the day as a #" },
        "A # is what @ is", { "What does @ work as? A #.", "How does @ make a living? As a #." } },
    [EMPLOYER] = { "employer", 20,
        { "Anchor Line", "Beacon Post", "Castle Press", "Cedar House", "Falcon Motors", "Garden Court",
          "Granite Bank", "Harbour Forge", "Lantern Theatre", "Marble Arch", "Meadow Foods", "Northern Rail",
          "Orchard Inn", "Phoenix Glass", "River Works", "Silver Dairy", "Summit Tools", "Temple Books",
          "Union Depot", "Valley Farms" },
        { "@ works for #", "@ is employed by #", "@ is on the staff of #", "@ gets wages from #",
          "@ has a post at #", "@ signed on with #", "@ serves #", "The boss of @ is at #" },
        "# is the firm of @", { "Whom does @ work for? #.", "Which firm does @ work for? #." } },
    [INSTRUMENT] = { "instrument", 16,
        { "banjo", "bassoon", "cello", "clarinet", "drum", "fiddle", "flute", "guitar",
          "harp", "lute", "piano", "trombone", "trumpet", "viola", "whistle", "zither" },
        { "@ plays the #", "@ practises the #", "@ owns a #", "@ is good at the #",
          "@ took lessons on the #", "@ performs on the #", "@ loves the #", "The favourite of @ is the #" },
        "The # is the favourite of @", { "What does @ play? The #.", "Which instrument does @ play? The #." } },
};

static const char *const FILLERS[N_FILLER] = {
    "Today ", "These days ", "They say ", "As we know, ", "I heard that ", "It is true that ", "Now ",
};
// clang-format on
#endif
