"""Given names, titles and the words that are capitalised without being anybody's name: data only."""

GIVEN_NAMES = frozenset(
    """
    adriana adriano ailton alan alana alberto aldo alessandra alex alexandre alice aline alison almir altair alvaro amanda ana
    anderson andre andrea andreia andressa angela angelica anita antonia antonio aparecida arlete armando arnaldo arthur artur
    augusto barbara beatriz benedita benedito benjamin bernardo bianca breno bruna bruno caetano caio camila carina carla carlos
    carmen carolina caroline cassia catarina cecilia celia celso cesar cicero cida cintia clarice claudia claudio clayton cleber
    cleide cleusa conceicao cristiane cristiano cristina dalva daniel daniela danilo davi debora denise diego diogo dirce douglas
    edilson edna edson eduarda eduardo elaine elias eliana eliane elisa elisangela elza emanuel emerson enzo erica erick ester
    eunice evandro everton fabiana fabiano fabio fabricio fatima felipe fernanda fernando flavia flavio francisca francisco
    gabriel gabriela geovana geraldo gilberto gilson giovana giovanna gisele gloria guilherme gustavo heitor helena helio heloisa
    henrique hugo iago igor ines iracema iracy irene isabel isabela isadora ivan ivete ivone jacqueline jailson jair janaina jane
    jaqueline jean jefferson jessica joana joao joaquim joel joice jonas jonathan jorge jose josefa josiane juliana juliano julio
    jurema karina karla kelly lais lara larissa laura lauro leandro leila leonardo leticia lia lidia lilian livia lorena lorenzo
    lourdes lucas lucia luciana luciano lucimar luis luisa luiz luiza luzia magda manoel manuela mara marcela marcelo marcia
    marcio marcos maria mariana marilia marina mario marlene marta mateus matheus mauricio mauro mayara michele miguel milena
    milton miriam moacir monica murilo nadia natalia neide nelio nelson neusa nicolas nicole nilton nivaldo norma odair olga
    olivia orlando osvaldo otavio pablo paloma patricia paula paulo pedro priscila rafael rafaela raimunda raimundo raquel raul
    rebeca regina reginaldo renan renata renato ricardo rita roberta roberto rodrigo rogerio romulo ronaldo rosana rosangela
    roseli rosemary rubens ruth sabrina samuel sandra sebastiao sergio severino sheila silvana silvia silvio simone sofia solange
    sonia sophia stella sueli suely suzana tadeu taina tania tatiana telma teresa tereza terezinha thais thiago tiago ulisses
    valdir valentina valeria vanessa vera veronica vicente vilma vinicius vitor vitoria viviane wagner walter wanda wellington
    wesley william wilson yara yasmin yuri zelia zilda
    aaron abigail adam adrian aiden alan albert alejandro alexander alexandra alexis alicia allison amelia amir amy andrew angel
    anna anne anthony antoine arjun ashley audrey austin ava barry becky ben benjamin beth betty bob bobby brad brandon brenda
    brian bruce caleb cameron carl carol caroline catherine charles charlotte chen chloe chris christian christina christopher
    cindy claire clara colin connor craig cynthia dan dana daniel danielle danny darren dave david dean deborah denis dennis
    derek diana diane diego dmitri donald donna doris dorothy doug duncan dylan edward eleanor elena eli elijah elizabeth ella
    ellen emily emma eric erin ethan eva evan evelyn fatima felix fiona frank fred gary gavin george gerald gina gordon greg
    gregory hannah harold harry hassan hector heather helen henry holly howard ian isaac isla ivan jack jackson jacob jake james
    jamie jane janet jared jason javier jay jeff jeffrey jenna jennifer jenny jeremy jerry jesse jessica jill jim jimmy joan joe
    joel john johnny jonathan jordan joseph josh joshua juan judith judy julia julian julie justin karen kate katherine kathleen
    katie kayla keith kelly ken kenneth kevin kim kyle laura lauren leah lena leo leon leonard leslie liam linda lisa logan lori
    louis louise lucas lucy luke lynn mack madison malik margaret marco marcus margot maria mario martha martin mary mateo matt
    matthew megan mei melissa mia michael michelle mike mohamed mohammed monica naomi nancy natalie nathan neil nicholas nick
    nina noah noor nora norman odile oliver olivia omar oscar otis owen pamela pat patrick paul pedro peggy pete peter phil philip
    philippe pierre pilar priya rachel raj ralph ravi ray raymond rebecca richard rick rita rob robert robin rodney roger ron
    ronald rosa rose ross roy russell ruth ryan sally sam samantha samuel sandra sanjay sara sarah scott sean seth shannon sharon
    shirley simon sofia sophie stacy stanley stephanie stephen steve steven stuart susan tara ted teresa terry theresa thomas tim
    timothy tina todd tom tommy tony tracy travis tyler vanessa vera veronica victor victoria viktor vincent virginia walter wanda
    warren wayne wendy wes will yolanda yusuf zach zoe tanya hank nate greta dale piper trevor kenji owen beth karin ingrid bjorn sven lars hiro yuki akira mei wei li ming jin soo
    ravi anil amit deepak sunita lakshmi meera arun vijay rahul neha pooja ali ahmed hassan omar layla yasmin leila samir tariq khalid aisha fatou kofi
    amara chidi ngozi kwame tunde esther deborah miriam ezra levi asher silas jude theo hugo felix otto klaus jurgen heidi greta ilse petra marta
    agnieszka katarzyna piotr tomasz jan pavel ivana dragan milos nikola stefan elena irina svetlana olena dmitry sergei yuri boris natasha
    adilson josias ademir odete jussara tatiane vagner jaci samir valmir osvaldo leandro icaro manu nando gabi josefina marlene ivone elenice edilene
    rosilene lucineia jurandir claudinei vanderlei wanderson washington waldir juscelino genivaldo edmilson edvaldo reinaldo arnaldo agnaldo
    helder heber kaua kauan luan ruan ryan enzo gael noah ravi theo lorenzo bento benicio antonella liz maite ayla cecilia eloa
    elisabete deise dayane rayane jessyca stefany kelvin kleber marlon maicon michel nathalia pamela poliana tainara thaina valdirene vivian
    emilia ines lucia carmen dolores manuel antonia raquel ximena
    """.split()  # noqa: SIM905  # prose is easier to extend than 500 quoted strings
)
"""Accents folded away. Whatever is missing is still a name beside a title, a role or a family name."""

ALSO_WORDS = frozenset(
    """
    rosa clara gloria vera norma will rose frank pat ray bob jean art grace joy hope mark may june bill rich dawn sue angel carol
    austin virginia charlotte jordan jackson madison victoria vitoria conceicao aparecida fatima lourdes cruz dean logan robin
    chen kim lynn leon santiago alexandria florence paris wayne stella aurora esperanca mara ester lia lara mercedes diego
    orlando san ken dan cida may sam ben don josefa barry kelly jade nina davi elias wilson warren max ross marco luz sol gil nilo ramos leo estela
    """.split()  # noqa: SIM905  # prose is easier to extend than 500 quoted strings
)
"""Given names that are common words or places too; in small letters they count for nothing."""

NOT_PEOPLE = frozenset(
    """
    monday tuesday wednesday thursday friday saturday sunday january february march april may june july august september october
    november december jan feb mar apr jun jul aug sep oct nov dec christmas easter ramadan ramada diwali hanukkah carnaval natal
    pascoa segunda terca quarta quinta sexta sabado domingo janeiro fevereiro marco abril maio junho julho agosto setembro outubro
    novembro dezembro
    english french spanish german portuguese chinese japanese italian russian arabic hindi korean dutch greek latin ingles frances
    espanhol alemao portugues american british brazilian european african asian indian mexican canadian brasileiro europeu
    brazil brasil france germany spain portugal italy china japan india mexico canada russia ukraine israel iran egypt turkey
    england scotland ireland wales europe africa asia america argentina chile colombia peru usa uk eua lisboa lisbon london londres
    paris berlin madrid roma rome tokyo york boston chicago texas california florida washington seattle miami los angeles
    francisco sao paulo rio janeiro recife salvador fortaleza curitiba porto alegre belo horizonte brasilia manaus belem goiania
    olinda pernambuco bahia minas gerais parana santa catarina ceara florianopolis campinas santos natal vitoria maceio
    python java javascript typescript rust go kotlin swift ruby php react vue angular django flask fastapi kubernetes docker linux
    windows macos android ios github gitlab google apple microsoft amazon aws azure meta facebook instagram whatsapp telegram
    twitter linkedin youtube netflix spotify uber airbnb openai anthropic claude chatgpt gpt gemini llama mistral nvidia intel amd
    oracle postgres postgresql mysql sqlite redis mongodb kafka spark slack zoom notion figma jira excel word powerpoint outlook
    gmail stripe paypal visa mastercard amex itau bradesco nubank santander caixa banco serasa sus inss who nhs cdc fda anvisa stf
    gdpr lgpd hipaa cpf cnpj rg cnh pix api url http https json xml html css sql hiv aids adhd dna rna covid sars mri ptsd ocd als
    hpv std sti bpm ceo cto cfo hr rh ti it pr qa ui ux ok faq
    deus god jesus cristo christ allah buda buddha bible biblia quran alcorao igreja church
    internet web wifi bluetooth usb
    write escreva explain explique what how why when where which who quais qual como quando onde quem por para the this that these
    those please favor summarize summarise resuma translate traduza list liste create crie give make show tell help preciso quero
    need can could should would is are do does did has have had will may i i'm i've i'd my our we he she they it in on at for from
    a o os as um uma de do da e ou se mas meu minha nosso nossa ele ela eles elas eu voce isso este esta esse essa aqui hoje ontem
    patient paciente client cliente customer employee funcionario funcionaria candidate candidato candidata applicant student aluno
    aluna laudo prontuario record relatorio ficha obs nota note notes subject assunto re fwd hi hello dear oi ola bom boa caro cara
    street avenue road lane rua avenida praca school escola colegio college university universidade hospital clinic clinica
    ltda inc llc corp gmbh company empresa group grupo
    green party partido democrat democrats republican republicans labour tory pt psol pl psdb mdb
    muslim christian jewish catholic hindu buddhist islam islamic catholics jews muslims evangelical navajo latino latina hispanic
    face touch acme globex initech umbrella hooli contoso pixel galaxy iphone tesla toyota honda ford
    black white asian alzheimer parkinson crohn hodgkin asperger down tourette hashimoto prozac zoloft ozempic lithium insulin
    """.split()  # noqa: SIM905  # prose is easier to extend than 500 quoted strings
)
"""Capitalised in the middle of a sentence, and yet nobody's name."""

PUBLIC_FIGURES = (
    "frida kahlo", "stephen hawking", "al capone", "barack obama", "obama", "donald trump", "trump", "joe biden", "biden", "lula",
    "bolsonaro", "dilma", "temer", "getulio vargas", "pele", "maradona", "messi", "neymar", "cristiano ronaldo", "ronaldinho",
    "senna", "anitta", "caetano veloso", "gilberto gil", "chico buarque", "machado de assis", "clarice lispector", "paulo freire",
    "santos dumont", "einstein", "isaac newton", "charles darwin", "marie curie", "ada lovelace", "alan turing", "turing", "mozart",
    "beethoven", "bach", "van gogh", "picasso", "da vinci", "freud", "karl marx", "nietzsche", "shakespeare", "jane austen",
    "virginia woolf", "hemingway", "kafka", "dostoevsky", "freddie mercury", "michael jackson", "elvis", "madonna", "lady gaga",
    "beyonce", "taylor swift", "rihanna", "elton john", "david bowie", "kurt cobain", "amy winehouse", "john lennon", "bob marley",
    "marilyn monroe", "steve jobs", "bill gates", "elon musk", "mark zuckerberg", "jeff bezos", "tim cook", "sam altman",
    "nelson mandela", "mandela", "gandhi", "martin luther king", "malcolm x", "rosa parks", "churchill", "napoleon", "hitler",
    "stalin", "abraham lincoln", "lincoln", "john f. kennedy", "kennedy", "roosevelt", "reagan", "clinton", "bush", "merkel",
    "macron", "putin", "zelensky", "magic johnson", "muhammad ali", "michael j. fox", "angelina jolie", "selena gomez",
    "tom cruise", "ellen degeneres", "ellen page", "elliot page", "robin williams", "chadwick boseman", "pope francis",
    "papa francisco", "queen elizabeth", "king charles", "princess diana", "kate middleton", "helen keller", "anne frank",
    "oscar wilde", "tiradentes", "zumbi", "lampiao", "cazuza", "renato russo", "elis regina", "tim maia", "silvio santos",
    "aleijadinho", "dom pedro", "julio cesar", "cleopatra", "sherlock holmes", "harry potter", "homer simpson", "batman",
    "capitu", "bentinho", "dom casmurro", "vincent van gogh", "lionel messi", "simone biles", "greta thunberg",
)  # fmt: skip
"""People whose life is public knowledge, and figures of fiction; folded."""
