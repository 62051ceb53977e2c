"""What sentences about people's private life are made of, in Portuguese and English, folded: data only.

Entries are expressions for whole words; ``\\w*`` stands at the end of stems.
"""

CONDITIONS = (
    # diagnoses
    r"cancer(?!igen)\w*", r"tumou?r\w*", r"leucemia", r"leukemia", r"linfoma", r"lymphoma", r"melanoma", r"metastase\w*", r"metasta\w+", r"malign\w+",
    r"diabet\w+", r"hipertens\w+", r"hypertens\w+", r"epilep\w+", r"alzheimer'?s?", r"parkinson'?s?", r"esclerose(?: multipla)?", r"(?:multiple )?sclerosis",
    r"lupus", r"fibromialgia", r"fibromyalgia", r"hiv(?:[ -]positiv\w+)?", r"soropositiv\w+", r"aids", r"hepatit\w+", r"tubercul\w+", r"sifilis", r"syphilis",
    r"herpes", r"gonorr?h?e\w+", r"clamidia", r"chlamydia", r"hpv", r"dst", r"ist", r"std", r"sti", r"cirrose", r"cirrhosis", r"crohn'?s?", r"colite", r"colitis",
    r"celiac\w*", r"coeliac", r"asma\w*", r"asthma\w*", r"dpoc", r"copd", r"enfisema", r"emphysema", r"infart\w+", r"heart (?:attack|failure|disease|condition)",
    r"avc", r"stroke", r"aneurism\w*", r"arritmia", r"arrhythmia", r"trombose", r"thrombosis", r"insuficiencia (?:renal|cardiaca)", r"kidney (?:failure|disease)",
    r"hemodialise", r"dialise", r"dialysis", r"transplant\w+", r"quimio\w*", r"chemo\w*", r"radioterapia", r"radiotherapy", r"biopsi\w+", r"biops\w+",
    r"endometriose", r"endometriosis", r"anemi\w+", r"hemofilia", r"hemophilia", r"sickle cell", r"falciforme", r"als", r"ela \(esclerose\)", r"paralis\w+", r"tetrapleg\w+",
    r"parapleg\w+", r"artrite", r"arthritis", r"gota", r"dengue", r"covid(?:-19)?", r"pneumonia", r"meningite", r"meningitis", r"hanseniase", r"malaria", r"zika",
    r"pre-?eclampsia", r"preeclampsia", r"sepse", r"sepsis", r"hernia\w*", r"apendicite", r"ulcer\w+", r"gastrite", r"migraines?", r"enxaquecas?",
    r"down'?s? syndrome", r"sindrome d[eo] \w+", r"syndrome", r"osteoporos\w+", r"glaucoma", r"hypothyroid\w*", r"hipotireoid\w+", r"hyperthyroid\w*",
    # mind and dependence
    r"depress(?:ao|ion|ed|iv[oa]s?)", r"deprimid[oa]", r"ansiedade", r"anxiety", r"panic attacks?", r"(?:sindrome do |crises? de )?panico", r"bipolar(?: ii?)?", r"bipolaridade",
    r"esquizofren\w+", r"schizophren\w+", r"borderline", r"psicose", r"psychosis", r"psychotic", r"surto psicotico", r"tdah?", r"adhd", r"add", r"toc", r"ocd",
    r"ptsd", r"tept", r"autis\w+", r"asperger'?s?", r"tea", r"anorexi\w+", r"bulimi\w+", r"eating disorder", r"transtorno \w+", r"(?:personality|mood|mental) disorder",
    r"burnout", r"suicid\w+", r"kill (?:my|him|her)self", r"me matar", r"self-harm\w*", r"automutil\w+", r"se cort\w+", r"overdose[ds]?", r"nervous breakdown",
    r"alcoolatra", r"alcoolismo", r"alcoholi[cs]\w*", r"dependente quimic[oa]", r"dependencia quimica", r"viciad[oa] em (?:drogas|cocaina|crack|alcool|remedio)\w*", r"drug addict\w*",
    r"addict(?:ed|ion)? to (?:opioids|drugs|alcohol|cocaine|pills|heroin|painkillers)", r"rehab\w*", r"clinica de recuperacao", r"sober", r"relaps(?:e|ed|ing)", r"recaida", r"recai",
    r"demencia", r"dementia", r"dyslexi\w+", r"dislexi\w+",
    # reproduction, body, disability
    r"gravid[ao]?", r"gravidez", r"pregnan\w+", r"gestante", r"aborto", r"abortou", r"abortion", r"miscarr\w+", r"infertil\w+", r"ivf", r"fiv", r"inseminacao", r"menopaus\w+",
    r"vasectom\w+", r"histerectomia", r"hysterectomy", r"mastectom\w+", r"colostomia", r"colostomy", r"impotencia", r"erectile dysfunction", r"disfuncao eretil",
    r"deficien(?:te|cia) (?:fisic|visual|auditiv|intelectual|mental)\w*", r"disabilit\w+", r"disabled", r"cadeirante", r"surd[oa]", r"ceg[oa]", r"deaf", r"amputa\w+",
    r"obesidade(?: morbida)?", r"obesity", r"bariatric\w*", r"alergi[ac]\w*", r"allerg\w+", r"convuls\w+", r"seizures?", r"concussion", r"chest pains?", r"dor(?:es)? no peito",
    # findings and care
    r"diagnos(?:ed|is|es)", r"diagnostic\w+", r"laudo medico", r"internad[oa]", r"internacao", r"hospitali[sz]ed", r"uti", r"icu", r"cirurgia", r"surgery", r"tarv", r"antirretrovira\w+",
    r"carga viral", r"viral load", r"tested positive", r"testou positivo", r"deu positivo", r"afastad[oa] (?:por|pelo inss)", r"prescri(?:bed|ption|to|cao)", r"receitou", r"medicacao", r"remedio controlado", r"tarja preta",
    r"psiquiatr\w*", r"psychiatr\w*", r"therapist", r"in therapy", r"terapia", r"oncolog\w*", r"blood type", r"tipo sanguineo",
)  # fmt: skip
"""Illness, disability, pregnancy, dependence and their care."""

CARE = (
    r"sopro (?:no coracao|cardiaco)", r"problemas? (?:no|na|de|do|da|nos) (?:coracao|rim|rins|figado|pulmao|tireoide|prostata|coluna|vesicula|saude)", r"(?:heart|liver|kidney|lung|thyroid|skin|back) (?:problems?|conditions?|issues?|disease|murmur)",
    r"recovering (?:addict|alcoholic)", r"addicts?", r"doenca (?:de|do|da|autoimune|renal|cardiaca|rara)", r"autoimmune", r"intestino irritavel", r"ibs", r"reumat\w+", r"rheumat\w+", r"neuropat\w+", r"nodulos?", r"lump in", r"cistos?", r"cysts?", r"miomas?", r"fibroids?", r"pancreat\w+", r"cardiac\w*", r"cardiolog\w+", r"neurolog\w+",
    r"bulimic[oa]?", r"heroin[ae]?", r"cocain[ae]?", r"crack", r"methamphetamine", r"drogas", r"drug (?:use|habit|problem)", r"drinking problem", r"problema com (?:alcool|bebida|drogas)", r"bebendo demais", r"hungover",
    r"prostat[ae]", r"mamografia", r"mammogram", r"ultrassom", r"ultrasound", r"ressonancia", r"mri", r"ct scan", r"tomografia", r"exames? de (?:sangue|urina|imagem|hiv|fezes)", r"blood (?:test|work)", r"lab results?", r"colonoscop\w+", r"endoscop\w+", r"papanicolau", r"pap smear",
    r"sangramento", r"fratur\w+", r"broke (?:his|her|my) (?:leg|arm|hip|wrist|ankle|neck|back)", r"quebrou (?:a|o) (?:perna|braco|pe|bacia|punho|tornozelo)", r"diu", r"iud", r"testosterona", r"testosterone", r"menstrua\w+", r"ovula\w+", r"esperma", r"sperm count", r"ovario\w*", r"ovarian",
    r"wheelchair", r"cadeira de rodas", r"protese", r"prosthe\w+", r"hearing aids?", r"cochlear", r"insomnia", r"insonia", r"apneia", r"sleep apnea", r"thyroid", r"tireoide", r"labirintite", r"trombofilia", r"psoriase", r"psoriasis", r"vitiligo", r"eczema", r"escoliose", r"scoliosis",
    r"kidney stones?", r"pedras? n[oa]s? (?:rim|rins|vesicula)", r"calculo renal", r"pacemaker", r"marca-?passo", r"stents?", r"cateterismo", r"ponte de safena", r"palliative", r"paliativ\w+", r"hospice", r"terminally ill", r"estagio terminal", r"coma", r"entubad\w+", r"intubated", r"ventilator",
    r"sofreu (?:um )?acidente", r"passou mal", r"desmaiou", r"fainted", r"collapsed", r"medical leave", r"sick leave", r"licenca medica", r"licenca saude", r"maternity leave", r"licenca maternidade", r"atestado", r"encostad[oa] pelo inss", r"incapacidade", r"invalidez", r"laudo",
    r"gluten", r"lactose intolerant", r"intolerancia a lactose", r"phobia", r"fobia", r"trauma\w*", r"nervos[oa]", r"meltdown", r"flashbacks", r"luto", r"mental health", r"saude mental", r"therapy sessions?", r"psicolog[oa]", r"psychologist", r"counsel(?:l)?ing", r"self-esteem",
    r"perdeu o bebe", r"stillb(?:irth|orn)", r"natimorto", r"expecting (?:a baby|twins)", r"tentando engravidar", r"trying to conceive", r"parkinson", r"tuberculos[ei]s?", r"hepatitis", r"scabies", r"lice", r"piolho", r"candidiase", r"yeast infection", r"uti", r"infeccao urinaria", r"hemorroid\w*", r"hemorrhoids",
)  # fmt: skip

MEDICATIONS = (
    r"sertralin[ae]", r"fluoxetin[ae]", r"prozac", r"zoloft", r"escitalopram", r"lexapro", r"citalopram", r"paroxetin[ae]", r"venlafaxin[ae]", r"bupropion\w*", r"wellbutrin",
    r"rivotril", r"clonazepam", r"diazepam", r"valium", r"alprazolam", r"xanax", r"lorazepam", r"zolpidem", r"ritalina?", r"venvanse", r"vyvanse", r"adderall", r"concerta",
    r"litio", r"lithium", r"quetiapin[ae]", r"risperidon[ae]", r"olanzapin[ae]", r"haloperidol", r"lamotrigin[ae]", r"carbamazepin[ae]", r"valproat[oe]", r"donepezil[ao]?", r"memantin[ae]",
    r"metformin[ae]?", r"insulin[ae]?", r"ozempic", r"semaglutid[ae]", r"losartan[ae]?", r"enalapril", r"lisinopril", r"atenolol", r"anlodipino", r"amlodipine", r"sinvastatina", r"statins?",
    r"levotiroxina", r"levothyroxine", r"puran", r"warfarin\w*", r"varfarina", r"tamoxifen\w*", r"methotrexate", r"metotrexato", r"prednison[ae]", r"truvada", r"prep", r"dolutegravir", r"biktarvy",
    r"methadone", r"metadona", r"naltrexone", r"oxycodone", r"morfina", r"morphine", r"viagra", r"tadalafil\w*", r"antidepress\w+", r"anticoncepcional", r"birth control", r"ansiolitic\w+", r"antipsicotic\w+", r"antipsychotic\w*",
)  # fmt: skip

MEASURES = (
    r"pressao(?: arterial)?", r"blood pressure", r"glicemia", r"glicose", r"glucose", r"blood sugar", r"hemoglobina glicada", r"(?:hb)?a1c", r"colesterol", r"cholesterol", r"ldl", r"psa", r"tsh",
    r"triglicerides", r"creatinina", r"creatinine", r"bmi", r"imc", r"cd4", r"saturacao", r"heart rate", r"beta ?hcg",
)  # fmt: skip
"""Measured values of a body; they need a number."""

RELIGION = (
    r"catolic[oa]", r"catholic", r"evangelic[oa]", r"evangelical", r"protestante", r"crente", r"batista", r"baptist", r"pentecostal", r"testemunha de jeova", r"jehovah'?s witness\w*", r"adventista",
    r"adventist", r"mormon", r"muculman[oa]", r"muslim", r"islamic[oa]", r"judeu", r"judia", r"jewish", r"jew", r"hindu", r"budista", r"buddhist", r"espirita", r"umbandista", r"umbanda", r"candomble\w*",
    r"candomblecista", r"macumba\w*", r"ate[ui]", r"ateia", r"atheist", r"agnostic[oa]?", r"sikh", r"igreja universal", r"wicca\w*", r"scientologist", r"religia[o]", r"religion", r"assembleia de deus", r"orthodox", r"kosher", r"halal", r"s[ha]abbat[h]?", r"shabbat", r"quaker", r"amish", r"(?:pai|mae|filh[oa]) de santo", r"orixas?", r"satanist\w*", r"cult",
    r"hijab", r"kippa", r"turban", r"jejum do ramada", r"fasting for ramadan", r"presbiterian[oa]", r"presbyterian", r"lutheran[oa]?", r"luteran[oa]", r"methodist", r"metodista", r"pastora?", r"imam", r"rabbi", r"rabino", r"missionary", r"congregacao crista", r"zen", r"taoist", r"jain", r"zoroastrian\w*", r"druid", r"pagan", r"shinto\w*", r"convert(?:ed|eu(?:-se)?)? (?:to|ao) (?:islam|judaism|catholicism|christianity|isla|judaismo|cristianismo)",
    r"attends? (?:the )?(?:mosque|synagogue|mass|church)", r"frequenta (?:a |o )?(?:igreja|terreiro|sinagoga|mesquita|centro espirita|culto)",
)  # fmt: skip

ETHNICITY = (
    r"etnia", r"ethnicity", r"dalit", r"caste", r"casta", r"pataxo", r"tupi\w*", r"kayapo", r"sami", r"maori", r"aboriginal", r"first nations", r"inuit", r"lakota", r"sioux", r"chicano", r"nisei", r"sansei", r"descendente de", r"of (?:jewish|african|arab|indian|asian|chinese|japanese) descent", r"rac[ae]", r"cor (?:da pele|preta|parda)", r"skin colou?r", r"pret[oa]", r"pard[oa]", r"negr[oa]", r"indigena", r"quilombola", r"cigan[oa]", r"romani", r"gypsy", r"guarani", r"yanomami", r"xavante",
    r"afrodescendente", r"african[- ]american", r"of african descent", r"native american", r"navajo", r"cherokee", r"hispanic", r"latin[oax]", r"black", r"asian", r"caucasian", r"roma", r"mixed[- ]race", r"biracial", r"kurdish", r"uyghur",
    r"refugee", r"refugiad[oa]", r"undocumented", r"sem documentos", r"imigrante ilegal", r"illegal immigrant", r"overstayed (?:his|her|my|their) visa",
)  # fmt: skip

ORIENTATION = (
    r"gays?", r"lesbic[oa]", r"lesbian", r"bissexual", r"bisexual", r"homossexual", r"homosexual", r"heterossexual", r"transexual", r"transsexual", r"transgender", r"transgener[oa]", r"travesti", r"trans", r"nao[- ]binari[oa]",
    r"non-?binary", r"queer", r"asexual", r"assexual", r"pansexual", r"intersex(?:ual|o)?", r"sexual orientation", r"namora (?:outr[oa] |um |uma )?(?:homem|mulher|cara|menina|rapaz|moca)", r"his (?:boyfriend|husband)", r"her (?:girlfriend|wife)", r"casad[oa] com outr[oa]", r"orientacao sexual", r"came out", r"se assumiu", r"saiu do armario", r"in the closet", r"no armario", r"closeted",
    r"gender transition", r"hormone therapy", r"having an affair", r"traindo", r"amante", r"cheating on (?:his|her|my)", r"vida sexual", r"sex life",
)  # fmt: skip

POLITICS = (
    r"filiad[oa] a[o]? p\w+", r"filiad[oa] ao partido", r"petista", r"bolsonarista", r"lulista", r"tucan[oa]", r"psolista", r"comunista", r"communist", r"socialista", r"socialist", r"anarquista", r"anarchist",
    r"vot(?:ou|a|o|ei|ed|es|ing) (?:for|no|na|em|pelo|pela|republican|democrat|labou?r|tory)(?: \w+)?", r"militante", r"milita", r"de (?:esquerda|direita|extrema[- ]direita)", r"republican", r"democrat", r"conservative voter", r"trump supporter",
    r"mst", r"do (?:pt|psol|pl|psdb|mdb|pcdob|pstu|pdt|psb|novo)", r"(?:communist|socialist|labou?r|green|conservative|republican|democratic|liberal) party", r"(?:partido|comite) \w+", r"ativista", r"activist", r"maga", r"antifa", r"protest(?:ed|s|er)?", r"manifestac\w+", r"campaigned for", r"canvass\w+",
    r"libertarian", r"monarquista", r"marxist\w*", r"feminist\w*", r"anti-?vax\w*", r"leftist", r"esquerdista", r"direitista", r"conservador[ae]?", r"party member", r"member of the (?:\w+ ){0,3}party", r"political (?:view|opinion|affiliation)s?", r"posicao politica", r"opiniao politica", r"registered (?:republican|democrat)", r"far[- ](?:right|left)", r"left[- ]wing", r"right[- ]wing",
    r"donated to (?:the )?(?:\w+ ){0,3}(?:campaign|party)",
)  # fmt: skip

UNION = (
    r"sindicalizad[oa]", r"sindicalista", r"sindicatos?", r"sindical", r"grevista", r"greve", r"on strike", r"strike (?:committee|leader|organi[sz]er)", r"cut", r"cipeir[oa]", r"collective bargaining", r"union organi[sz]ing", r"(?:organi[sz]ing|forming|starting|joining) a union", r"teamsters?", r"unionized", r"unionised", r"unionize", r"(?:labou?r|trade|workers'?) union", r"(?:the|a|our|their) union", r"union (?:member|rep|representative|steward|organi[sz]er|card|dues|meeting)\w*", r"shop steward",
)  # fmt: skip

CRIME = (
    r"pres[oa]", r"cadeia", r"prisao", r"detid[oa]", r"condenad[oa]", r"antecedentes?(?: criminais)?", r"passagem pela policia", r"ficha criminal", r"furto", r"roubo", r"trafico", r"estelionato", r"homicidio", r"agressao", r"violencia domestica",
    r"medida protetiva", r"maria da penha", r"indiciad[oa]", r"tornozeleira", r"liberdade condicional", r"responde (?:a )?(?:processo|inquerito)", r"cumpriu pena", r"ex-presidiari[oa]", r"ex-detento", r"traficante", r"estelionat\w+", r"lavagem de dinheiro", r"lesao corporal", r"ameaca", r"pedofil\w+", r"inquerito", r"ex-con(?:vict)?", r"served time", r"court date", r"bail", r"community service", r"money laundering", r"stole", r"stealing", r"roubou", r"furtou", r"pedophil\w+", r"stalk(?:ed|ing|er)", r"hit[- ]and[- ]run", r"drunk driving", r"dwi", r"mugshot", r"plea deal", r"regime semiaberto", r"mandado de prisao", r"boletim de ocorrencia", r"reu",
    r"convict(?:ed|ion)s?", r"felon\w*", r"misdemeanou?r", r"arrest(?:ed)?", r"criminal record", r"prison", r"jail", r"parole", r"probation", r"dui", r"burglary", r"robbery", r"theft", r"shoplift\w+", r"assault(?:ed)?", r"domestic violence",
    r"restraining order", r"indicted", r"charged with", r"warrant", r"sex offender", r"drug (?:possession|dealing|trafficking)", r"rap sheet", r"embezzl\w+", r"fraude?", r"estupr\w+", r"rap(?:e|ed|ist)", r"sexual(?:ly)? (?:assault|abus|harass)\w*", r"abus(?:o|ou|ada|ado) sexual\w*", r"assedi\w+", r"harass\w+",
)  # fmt: skip

BIOMETRIC = (
    r"impress(?:ao|oes) digita(?:l|is)", r"(?:a|sua|da|minha|foto da) digital(?: (?:e|da|do|dele|dela))", r"biometri[ac]\w*", r"fingerprints?", r"face ?(?:scan|id|print|template|embedding)s?", r"facial (?:scan|template|recognition|image)s?", r"reconhecimento facial",
    r"iris(?: scan| template)?", r"retina(?:l)?(?: scan)?", r"voice ?prints?", r"palm ?(?:print|vein|scan)s?", r"foto do rosto", r"dna (?:sample|profile|test|result)s?", r"exame de dna", r"perfil genetico", r"genetic (?:test|data|profile|marker)s?", r"genom[ae]", r"brca[12]?", r"selfie (?:com|with)",
)  # fmt: skip

PAY = (
    r"clt", r"diarias?", r"por hora", r"an hour", r"hourly rate", r"per hour", r"stock options", r"rsus?", r"equity", r"vale-\w+", r"plr", r"hora extra", r"overtime", r"salari\w*", r"take-home", r"salario liquido", r"salary", r"salaries", r"ganh[ao](?:ndo|va)?", r"recebe(?:ndo)?", r"recebo", r"holerites?", r"contracheques?", r"remuneracao", r"pro-labore", r"rescis\w+", r"demitir", r"demitid[oa]", r"demissao", r"decimo terceiro", r"aumento", r"bonus",
    r"earn(?:s|ed|ing)?", r"makes?", r"making", r"paid", r"pays?", r"payslip", r"paycheck", r"payroll", r"compensation", r"severance", r"raise", r"wages?", r"income", r"renda", r"base", r"offer", r"letting \w+ go", r"lay(?:ing)? off", r"laid off", r"firing", r"fired?", r"net worth", r"patrimonio", r"commission", r"comissao", r"pension", r"aposentadoria",
)  # fmt: skip

DEBT = (
    r"dev(?:e|o|endo|ia|edora?)", r"divida\w*", r"inadimplent\w+", r"inadimplencia", r"negativad[oa]", r"nome sujo", r"serasa", r"spc", r"score", r"protestad[oa]", r"atrasad[oa]s?", r"em atraso", r"parcelas?", r"emprestimo", r"financiamento", r"cheque especial", r"saldo", r"extrato", r"penhora\w*", r"fatura", r"limite do cartao", r"pensao(?: alimenticia)?", r"imposto de renda", r"malha fina", r"faliu", r"falencia", r"cobranca",
    r"owes?", r"owed", r"debts?", r"overdue", r"past due", r"arrears", r"loans?", r"default(?:s|ed)?", r"bankrupt\w*", r"credit (?:score|limit|report|card debt)", r"mortgage", r"balance", r"garnish\w+", r"alimony", r"child support", r"collections", r"foreclosure", r"declined", r"tax return", r"behind on (?:the )?rent", r"late on (?:the )?rent", r"evict\w+", r"despej\w+", r"bank statement", r"overdrawn", r"savings", r"poupanca", r"inheritance", r"heranca", r"trust fund",
)  # fmt: skip

SECRECY = (
    r"confidencia(?:l|is)", r"sigilos[oa]s?", r"em sigilo", r"segredo de justica", r"segredo industrial", r"segredo comercial", r"confidential", r"under nda", r"nda", r"trade secret", r"not (?:yet )?public", r"nothing is public", r"non-?public", r"embargoed", r"internal only", r"strictly private", r"off the record", r"insider",
    r"ainda nao e publico", r"nao divulgar", r"nao divulgado", r"uso interno", r"antes do anuncio", r"before the announcement", r"unannounced", r"nao anunciad[oa]", r"do not (?:share|disclose|distribute)", r"informacao privilegiada", r"eyes only",
)  # fmt: skip

DEALS = (
    r"contrat\w+", r"contracts?", r"deals?", r"acordos?", r"agreement", r"clausul\w+", r"clauses?", r"minuta", r"aquisicao", r"acqui\w+", r"merg\w+", r"fusao", r"compra", r"multa", r"penalty", r"proposta", r"proposal", r"term sheet", r"valuation", r"settlement", r"desconto", r"discount", r"receita", r"revenue", r"faturamento", r"lucro", r"profit", r"margem", r"margins?", r"layoffs?", r"demissoes", r"launch\w*", r"lancamento", r"roadmap", r"prototipo", r"prototype", r"formula", r"patent\w*", r"pricing", r"prices?", r"preco\w*", r"licita\w+", r"bid", r"fornecedor", r"supplier", r"investidor\w*", r"investors?", r"rodada", r"funding", r"round",
)  # fmt: skip

SCHOOL = (
    r"escola\w*", r"colegio", r"creche", r"jardim de infancia", r"turma", r"serie", r"ano [a-e]", r"estuda", r"matriculad[oa]", r"professora? d[aeo]", r"school", r"daycare", r"kindergarten", r"nursery", r"preschool", r"primary", r"elementary", r"grade", r"class", r"classroom", r"kita", r"sai (?:ao )?(?:as )?(?:\d|meio-dia)", r"pick(?:ed|s)? up", r"busca(?:r)?", r"fica sozinh[oa]", r"home alone", r"notas?", r"grades", r"gpa", r"boletim", r"report card", r"perua", r"school bus", r"vai sozinh[oa]",
)  # fmt: skip

MINORS = (
    r"filh[oa]s?", r"net[oa]s?", r"sobrinh[oa]s?", r"entead[oa]s?", r"crianca", r"menin[oa]", r"custody", r"guarda", r"toddlers?", r"afilhad[oa]", r"gemeos", r"gemeas", r"twins", r"bebe", r"alun[oa]s?", r"adolescente", r"menor", r"garot[oa]", r"son", r"daughter", r"kids?", r"child", r"children", r"grandson", r"granddaughter", r"nephew", r"niece", r"stepson", r"stepdaughter", r"toddler", r"baby", r"student", r"pupil", r"minor", r"teen(?:ager)?", r"boy", r"girl",
)  # fmt: skip

FICTION = (
    r"livros?", r"filmes?", r"seriado", r"poemas?", r"personage(?:m|ns)", r"contos?", r"romance", r"ficcao", r"novela",
    r"novel", r"story", r"stories", r"screenplay", r"poem", r"movies?", r"films?", r"characters?", r"fiction\w*", r"sitcom", r"dnd", r"rpg", r"biography", r"biografia",
    r"celebrity", r"famos[oa]s?", r"famous", r"actors?", r"actress", r"singer", r"president", r"presidente", r"ator", r"atriz", r"cantora?", r"jogador", r"politician", r"king", r"queen",
    r"dogs?", r"cats?", r"pets?", r"cachorr[oa]", r"gat[oa]s?", r"vet", r"veterinari[oa]", r"puppy", r"kitten",
)  # fmt: skip
"""Who is made up, an animal, or known to everybody."""

TOPICAL = (
    r"artigos?", r"posts?", r"campanhas?", r"slogans?", r"redacao", r"palestra", r"curso", r"tcc", r"monografia", r"pesquisa", r"estudo", r"trabalho (?:sobre|escolar|de)", r"roteiro",
    r"o que (?:e|sao|significa)", r"qual (?:e )?a diferenca", r"como funciona", r"quais (?:sao )?os sintomas", r"sintomas", r"causas", r"historia d[aeo]", r"tratamentos? para", r"prevencao",
    r"articles?", r"essays?", r"blog", r"landing page", r"research", r"papers?", r"history of", r"symptoms of", r"what (?:is|are|does)", r"how (?:does|do) (?:\w+ )?work", r"difference between", r"dataset", r"statistics", r"survey", r"awareness", r"charit\w+", r"fundraiser", r"course", r"lecture", r"app", r"website", r"logo", r"quiz",
    r"average", r"typical", r"medi[oa] d[eo]", r"em media", r"templates? (?:for|of)", r"an? template", r"modelo de",
)  # fmt: skip
"""Talk about a subject rather than about somebody."""

MATTERS = (
    r"demitir", r"demitid[oa]", r"demissao d[aeo]", r"demitindo", r"desligar", r"desligamento", r"dispensar", r"mandar embora", r"mandad[oa] embora", r"advertencia", r"justa causa", r"avaliacao de desempenho",
    r"fir(?:e|ed|ing)(?! (?:up|off|drill|alarm|extinguisher|department|hose|tv|stick|safety|sale|on all))", r"let(?:ting)? \w+ go", r"lay(?:ing)? off", r"laid off", r"terminat(?:e|ing|ion of)", r"dismiss(?:ed|al)?", r"on a pip", r"performance (?:review|improvement)", r"written warning", r"underperform\w*",
    r"divorci\w+", r"divorc\w+", r"traiu", r"traindo", r"traicao", r"affair", r"cheated", r"cheating on", r"separando", r"lawsuit", r"sued", r"suing", r"processou", r"processando", r"acao trabalhista", r"processo trabalhista", r"testamento", r"inventario",
    r"asylum", r"deport\w+", r"visa status", r"green card", r"adopt(?:ed|ion)", r"adocao", r"adotad[oa]",
)  # fmt: skip
"""Matters of work and family that are told in confidence."""

AGES = (r"anos", r"anin\w+", r"meses", r"years? old", r"year-old", r"yrs?", r"aged?")
"""Words of a person's age."""
